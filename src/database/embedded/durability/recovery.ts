/** When the embedded database does not open, a start goes back to the last good copy. */

import { existsSync } from 'node:fs'
import { mkdtemp, rename, rm } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { AppError } from '../../../errors.ts'
import { type Copy, listCopies, unpackCopy } from './copies.ts'
import { flushFolder } from './flush-folder.ts'
import { explainMachineFault } from './machine-faults.ts'

export type Recovery = {
  /** When the copy was taken: all changes since then are lost. */
  takenAt: Date
  /** The new name of the folder that did not open; undefined when there was none. */
  asideIn: string | undefined
}

/** A copy that opens, before it replaces the folder that does not. */
const CHOSEN = 'postgres.recovered'

/**
 * Replaces `${dataDir}/postgres` with the newest copy that opens, and keeps that folder aside.
 *
 * @param tryToOpen rejects for a folder that does not open.
 * @param cause why the folder itself does not open.
 * @throws AppError database_unavailable when no copy opens, or the machine hinders it; then nothing
 *   was changed.
 */
export async function recover(
  dataDir: string,
  tryToOpen: (folder: string) => Promise<void>,
  cause: unknown,
): Promise<Recovery> {
  for (const copy of await listCopies(dataDir)) {
    const folder = await mkdtemp(join(dataDir, 'postgres.new-'))
    try {
      await unpackCopy(copy, folder)
      await tryToOpen(folder)
    } catch (error) {
      await rm(folder, { recursive: true })
      const fault = explainMachineFault(error)
      if (fault instanceof AppError) throw fault
      continue
    }
    return replace(dataDir, folder, copy)
  }
  throw new AppError(
    'database_unavailable',
    `The embedded database in ${join(dataDir, 'postgres')} does not open, and there is no copy of it in ${join(dataDir, 'copies')} that does. Put a backup of DATA_DIR in its place; docs/OPERATIONS.md, Backups, says how.`,
    { cause, retryable: false },
  )
}

/** Completes the second rename of `replace` when a start was killed between the two. */
export async function finishRecovery(dataDir: string): Promise<void> {
  const chosen = join(dataDir, CHOSEN)
  if (!existsSync(chosen)) return
  if (existsSync(join(dataDir, 'postgres'))) await rm(chosen, { recursive: true })
  else await rename(chosen, join(dataDir, 'postgres'))
  await flushFolder(dataDir)
}

async function replace(dataDir: string, folder: string, { takenAt }: Copy): Promise<Recovery> {
  const chosen = join(dataDir, CHOSEN)
  const place = join(dataDir, 'postgres')
  const aside = join(dataDir, `postgres.broken-${new Date().toISOString().replaceAll(':', '_')}`)
  await rename(folder, chosen)
  await flushFolder(dataDir)
  const isThere = existsSync(place)
  if (isThere) await rename(place, aside)
  await rename(chosen, place)
  await flushFolder(dataDir)
  return { takenAt, asideIn: isThere ? basename(aside) : undefined }
}
