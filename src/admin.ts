/** `npm run admin -- <command>`: commands for the operator. */

import './process/node-version.ts'

const { runAdmin } = await import('./run-admin.ts')
await runAdmin(process.argv.slice(2))
