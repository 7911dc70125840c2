/** Flushes folders: the names in a folder are durable only after an fsync of the folder itself. */

import { open, readdir } from 'node:fs/promises'
import { join } from 'node:path'

/** Errors of opening a folder on Windows, which needs no flush of folders. */
const CANNOT_OPEN = ['EISDIR', 'EACCES', 'EPERM']

/** Flushes the names in one folder. */
export async function flushFolder(path: string): Promise<void> {
  const handle = await open(path, 'r').catch((error: NodeJS.ErrnoException) => {
    if (process.platform === 'win32' && CANNOT_OPEN.includes(error.code ?? '')) return undefined
    throw error
  })
  await handle?.sync().finally(() => handle.close())
}

/** Flushes the names in a folder and in all folders below it. */
export async function flushFolders(path: string): Promise<void> {
  const entries = await readdir(path, { recursive: true, withFileTypes: true })
  const folders = entries.filter((entry) => entry.isDirectory())
  await Promise.all(folders.map(({ parentPath, name }) => flushFolder(join(parentPath, name))))
  await flushFolder(path)
}
