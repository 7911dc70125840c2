/** Claims the folder given; says "held" or why not; lets go when its standard input ends. */

import { claimDataDir } from '../../../src/database/embedded/folder-lock.ts'

try {
  const claim = await claimDataDir(process.argv[2] ?? '')
  process.stdout.write('held\n')
  process.stdin.on('end', () => void claim.release()).resume()
} catch (error) {
  process.stdout.write(`${(error as Error).message}\n`)
}
