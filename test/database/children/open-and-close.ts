/** Opens the embedded database in the folder given, uses it, closes it, and has nothing left to do. */

import { openDatabase } from '../../../src/database/open.ts'

const database = await openDatabase({ dataDir: process.argv[2] ?? '' })
await database.ping()
await database.close()
process.stdout.write('closed\n')
