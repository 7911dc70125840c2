/** How long a test waits for what has to come: on a busy machine nearly everything comes late. */
export const PATIENCE = { timeout: 60_000 }
