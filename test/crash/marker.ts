/** What begins each text of the load: by it a call is recognised wherever it turns up. */
export const MARKER = /key-[0-9a-f]{16}/
