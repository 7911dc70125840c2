/** `npm run admin -- <command>`: commands for the operator. */

import './process/node-version.ts'

const { runAdmin } = await import('./admin/run.ts')
await runAdmin(process.argv.slice(2))
