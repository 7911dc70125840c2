import { randomBytes } from 'node:crypto'
import { chmod, open, readFile, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'

/**
 * The base64 text of 32 random bytes in a file of mode 0600. If the file is missing, or empty after
 * a power cut, it is created and flushed to disk before anything can be sealed with it.
 *
 * @param mayMake false when another key has already sealed something.
 * @returns undefined when there is no key and none may be made; no file is then left behind.
 */
export async function readOrMakeKeyFile(
  path: string,
  mayMake: () => Promise<boolean>,
): Promise<string | undefined> {
  const kept = await read(path)
  if (kept !== '') return kept
  return (await mayMake()) ? make(path) : undefined
}

async function read(path: string): Promise<string> {
  try {
    const text = (await readFile(path, 'utf8')).trim()
    await chmod(path, 0o600)
    return text
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    return ''
  }
}

/** Creates the file atomically under its name. */
async function make(path: string): Promise<string> {
  const text = randomBytes(32).toString('base64')
  const unfinished = `${path}.new`
  await rm(unfinished, { force: true })
  const file = await open(unfinished, 'wx', 0o600)
  try {
    await file.writeFile(`${text}\n`)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(unfinished, path)
  await flushNames(dirname(path))
  return text
}

/** Makes the file's name durable. Windows does so by itself, and has no call for it. */
async function flushNames(folder: string): Promise<void> {
  if (process.platform === 'win32') return
  const handle = await open(folder)
  await handle.sync().finally(() => handle.close())
}
