/** Folders on the disk: which names they hold is only certain once they are flushed themselves. */

import { open, readdir } from 'node:fs/promises'
import { join } from 'node:path'

/** What Windows says of opening a folder: it keeps names without being asked. */
const CANNOT_OPEN = ['EISDIR', 'EACCES', 'EPERM']

/** The names in one folder. */
export async function flushFolder(path: string): Promise<void> {
  const handle = await open(path, 'r').catch((error: NodeJS.ErrnoException) => {
    if (process.platform === 'win32' && CANNOT_OPEN.includes(error.code ?? '')) return undefined
    throw error
  })
  await handle?.sync().finally(() => handle.close())
}

/** The names in a folder, and in those in it. */
export async function flushFolders(path: string): Promise<void> {
  const entries = await readdir(path, { recursive: true, withFileTypes: true })
  const folders = entries.filter((entry) => entry.isDirectory())
  await Promise.all(folders.map(({ parentPath, name }) => flushFolder(join(parentPath, name))))
  await flushFolder(path)
}
