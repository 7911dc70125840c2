/** A small disk of its own for the messages, which can be filled. Needs the right to mount. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { runSql } from '../support/database-supplies.ts'

export type SmallDisk = {
  /** Puts the messages there. */
  attach(databaseUrl: string): Promise<void>
  /** Until nothing fits on it any more. */
  fill(): Promise<void>
  free(): Promise<void>
  close(): Promise<void>
}

/** In memory, so that it is quickly filled; more than a run of some minutes needs. */
const MEGABYTES = 96
const FILLER = 'filler'
const CHUNK = Buffer.alloc(1024 * 1024)

/** Unmounts at the end of its standard input, hence also when the run is killed. */
const SCRIPT = `
  folder=$(mktemp -d /tmp/gateway-disk.XXXXXX) || exit 1
  mount -t tmpfs -o size=${MEGABYTES}m,mode=0755 tmpfs "$folder" || { rmdir "$folder"; exit 1; }
  install -d -o postgres -m 0700 "$folder/tables" && echo "$folder"
  read -r _
  umount -l "$folder" && rmdir "$folder"
`

/** @returns why there is none, where this process may not mount. */
export async function openSmallDisk(): Promise<SmallDisk | { missing: string }> {
  const child = spawn('sh', ['-c', SCRIPT], { stdio: ['pipe', 'pipe', 'pipe'], detached: true })
  const exit = once(child, 'close')
  let words = ''
  child.stderr.on('data', (chunk) => {
    words += chunk
  })
  const { value: folder } = await createInterface({ input: child.stdout })
    [Symbol.asyncIterator]()
    .next()
  if (!folder) return { missing: words.trim().split('\n').at(-1) || 'no disk could be mounted' }
  const filler = join(folder, FILLER)
  return {
    async attach(databaseUrl) {
      const place = join(folder, 'tables')
      await runSql(databaseUrl, `create tablespace small location '${place}'`)
      await runSql(databaseUrl, 'alter table messages set tablespace small')
    },
    async fill() {
      // The last bytes too: a smaller piece may fit where a larger one does not.
      for (let size = CHUNK.length; size >= 4096; ) {
        await appendFile(filler, CHUNK.subarray(0, size)).catch(() => {
          size /= 2
        })
      }
    },
    free: () => rm(filler, { force: true }),
    async close() {
      child.stdin.end()
      await exit
    },
  }
}
