/** Creates the embedded database's files atomically, and opens them. */

import { existsSync } from 'node:fs'
import { mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { PGlite } from '@electric-sql/pglite'
import { AppError } from '../../errors.ts'
import { PLANNING, setSession } from '../statements/session-settings.ts'
import { listCopies } from './durability/copies.ts'
import { flushFolder, flushFolders } from './durability/flush-folder.ts'
import { FlushingFs, LOG_FOLDER, LOG_SEGMENT } from './durability/flushing-fs.ts'
import { type Durability, LogFlush } from './durability/log-flush.ts'
import { LogSpace } from './durability/log-space.ts'
import { explainMachineFault, machineFaultIn } from './durability/machine-faults.ts'
import { finishRecovery, type Recovery, recover } from './durability/recovery.ts'
import { unpackSnapshot } from './snapshot-store.ts'

/** Return values as the pg driver does. Parsers get PostgreSQL's text form. */
const PARSERS = {
  20: (text: string) => text, // int8: as text, exact beyond 2^53
  1082: (text: string) => text, // date: a day, not an instant
  17: (text: string) => Buffer.from(text.slice(2), 'hex'), // bytea: '\x…'
}

/** Refuses arrays for jsonb: pg would send them as PostgreSQL arrays, which jsonb refuses. */
const SERIALIZERS = { 114: jsonText, 3802: jsonText }

/** Segment size in new folders. PostgreSQL's default of 16 MB is more than most databases hold. */
const LOG_SEGMENT_BYTES = 4 * 1024 ** 2

/** An open database and its files. */
export type Embedded = { pglite: PGlite; files: FlushingFs; log: LogFlush; space: LogSpace }

/**
 * Opens the database in `${dataDir}/postgres`, making it on the first start: from the snapshot of
 * an empty migrated database if there is one for this build, otherwise by initdb (slow, 850 MB).
 * One that does not open, or is missing while copies of it exist, is recovered from a copy.
 * The caller holds the folder's claim.
 *
 * @returns with `recovery` when a copy replaced the database.
 * @throws AppError database_unavailable when neither it nor any copy opens.
 */
export async function openPglite(
  dataDir: string,
  durability: Durability,
): Promise<Embedded & { recovery: Recovery | undefined }> {
  const folder = join(dataDir, 'postgres')
  await removeUnfinished(dataDir)
  await finishRecovery(dataDir)
  const tryToOpen = async (copy: string) => (await connect(copy, 'full')).pglite.close()
  if (!existsSync(folder)) {
    const hasCopies = (await listCopies(dataDir)).length > 0
    const gone = new Error('there is no such folder')
    const recovery = hasCopies ? await recover(dataDir, tryToOpen, gone) : undefined
    if (!recovery) await make(dataDir, folder)
    return { ...(await connect(folder, durability)), recovery }
  }
  try {
    return { ...(await connect(folder, durability)), recovery: undefined }
  } catch (error) {
    if (error instanceof AppError) throw error
    const recovery = await recover(dataDir, tryToOpen, error)
    return { ...(await connect(folder, durability)), recovery }
  }
}

/** @throws AppError when the machine is at fault; otherwise Error with PostgreSQL's message. */
async function connect(folder: string, durability: Durability): Promise<Embedded> {
  let lastWords = ''
  const hear = (words: string) => {
    if (!WHY_IT_ENDED.test(lastWords)) lastWords = words
    return false // not to be printed
  }
  try {
    // A killed process leaves this file, and after a power cut it is empty, which PostgreSQL refuses.
    // The claim guarantees that no other process uses the folder.
    await rm(join(folder, 'postmaster.pid'), { force: true })
    const log = new LogFlush(durability)
    const segmentBytes = await logSegmentBytes(folder)
    const space = new LogSpace(folder, segmentBytes)
    const files = new FlushingFs(folder, log, space)
    const pglite = await start(segmentBytes, { fs: files, onStderr: hear })
    return { pglite, files, log, space }
  } catch (cause) {
    throw explained(folder, lastWords, cause)
  }
}

/** The first such message has the reason; later ones are consequences. */
const WHY_IT_ENDED = /FATAL|PANIC/

function explained(folder: string, lastWords: string, cause: unknown): unknown {
  const fault = explainMachineFault(cause)
  if (fault instanceof AppError) return fault
  const said = `The embedded database in ${folder} does not open. PostgreSQL says: ${lastWords.trim()}`
  return machineFaultIn(lastWords, said, cause) ?? new Error(said, { cause })
}

export const connectInMemory = (): Promise<PGlite> => start(LOG_SEGMENT_BYTES, {})

async function start(
  segmentBytes: number,
  place: { fs?: FlushingFs; onStderr?: (words: string) => boolean },
): Promise<PGlite> {
  const pglite = await PGlite.create({
    parsers: PARSERS,
    serializers: SERIALIZERS,
    startParams: startParameters(segmentBytes / 1024 ** 2),
    initDbStartParams: [`--wal-segsize=${LOG_SEGMENT_BYTES / 1024 ** 2}`],
    ...place,
  })
  await pglite.exec(setSession(PLANNING))
  return pglite
}

const startParameters = (segmentMb: number) => [
  // PGlite's defaults without -F, which would turn flushing off.
  ...PGlite.defaultStartParams.filter((parameter) => parameter !== '-F'),
  // With this method PostgreSQL calls fsync(), which flushing-fs.ts intercepts.
  ...['-c', 'wal_sync_method=fsync'],
  // Samples a third of the default's rows; enough to tell few from many.
  ...['-c', 'default_statistics_target=30'],
  // Used segments are recycled within these sizes, the smaller of which is PostgreSQL's minimum;
  // housekeeping.ts decides when a checkpoint is due.
  ...['-c', `min_wal_size=${2 * segmentMb}MB`, '-c', `max_wal_size=${4 * segmentMb}MB`],
]

/** The segment size was fixed when the folder was created. */
async function logSegmentBytes(folder: string): Promise<number> {
  const log = join(folder, LOG_FOLDER)
  if (!existsSync(log)) return LOG_SEGMENT_BYTES
  const names = (await readdir(log)).filter((name) => LOG_SEGMENT.test(name))
  const sizes = await Promise.all(names.map(async (name) => (await stat(join(log, name))).size))
  // In a damaged folder some may be truncated.
  const whole = sizes.filter((bytes) => bytes >= 1024 ** 2 && Number.isInteger(Math.log2(bytes)))
  return Math.max(...whole, 0) || LOG_SEGMENT_BYTES
}

/** Removes the folders of starts that were killed half-way. */
async function removeUnfinished(dataDir: string): Promise<void> {
  for (const name of await readdir(dataDir)) {
    if (name.startsWith('postgres.new-')) await rm(join(dataDir, name), { recursive: true })
  }
}

async function make(dataDir: string, folder: string): Promise<void> {
  const unfinished = await mkdtemp(join(dataDir, 'postgres.new-'))
  if (!(await unpackSnapshot(unfinished))) await (await connect(unfinished, 'full')).pglite.close()
  await flushFolders(unfinished)
  await rename(unfinished, folder)
  await flushFolder(dataDir)
}

function jsonText(value: unknown): string {
  if (typeof value === 'string') return value
  if (Array.isArray(value)) throw new TypeError('write an array into jsonb with JSON.stringify')
  return JSON.stringify(value)
}
