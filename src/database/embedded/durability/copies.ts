/**
 * Copies of the embedded database in `${dataDir}/copies`. A start that cannot open the database
 * recovers from them by itself (recovery.ts).
 *
 * A copy is taken while the database is in use, like PostgreSQL's base backups: first the files,
 * then the write-ahead log. Opening it replays the log from the last checkpoint, which repairs
 * files that were copied during a change (PostgreSQL documentation: Making a Base Backup). So no
 * checkpoint may run during the copy.
 */

import {
  closeSync,
  createReadStream,
  createWriteStream,
  fstatSync,
  openSync,
  readSync,
} from 'node:fs'
import { type FileHandle, mkdir, open, readdir, rename, rm, stat, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip, createGzip } from 'node:zlib'
import { type TarPart, tarEnd, tarHeader, tarPadding, tarParts } from '../tar.ts'
import { flushFolder, flushFolders } from './flush-folder.ts'
import { LOG_FOLDER } from './flushing-fs.ts'

export type CopyReason = 'hourly' | 'before-migration'
export type Copy = { path: string; takenAt: Date; reason: CopyReason }

/** Larger databases belong on a PostgreSQL server, or need backups by the operator. */
const MOST_BYTES = 2 * 1024 ** 3
const CHUNK_BYTES = 1 << 16

/**
 * Newest first.
 *
 * @throws a system error when the folder is there and cannot be read: its copies are not none.
 */
export async function listCopies(dataDir: string): Promise<Copy[]> {
  const folder = join(dataDir, 'copies')
  const names = await readdir(folder).catch(noneYet)
  return names
    .flatMap((name) => {
      const [, time, reason] = /^(.{24})-(hourly|before-migration)\.tar\.gz$/.exec(name) ?? []
      const takenAt = new Date(time?.replaceAll('_', ':') ?? Number.NaN)
      if (Number.isNaN(takenAt.getTime())) return []
      return [{ path: join(folder, name), takenAt, reason: reason as CopyReason }]
    })
    .sort((a, b) => b.takenAt.getTime() - a.takenAt.getTime())
}

function noneYet(error: NodeJS.ErrnoException): string[] {
  if (error.code === 'ENOENT') return []
  throw error
}

/**
 * Copies `${dataDir}/postgres`, and removes the copies that are no longer needed.
 *
 * @returns undefined, or why there is no copy: the database is too large, or the disk too full.
 * @throws AbortError when the signal aborts, or a system error; the partial copy is removed.
 */
export async function takeCopy(
  dataDir: string,
  reason: CopyReason,
  signal: AbortSignal,
): Promise<string | undefined> {
  const source = join(dataDir, 'postgres')
  const obstacle = await obstacleTo(source)
  if (obstacle !== undefined) return obstacle
  const folder = join(dataDir, 'copies')
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const unfinished = join(folder, 'unfinished')
  const time = new Date().toISOString().replaceAll(':', '_')
  try {
    await writeArchive(source, unfinished, signal)
    await rename(unfinished, join(folder, `${time}-${reason}.tar.gz`))
  } finally {
    await rm(unfinished, { force: true })
  }
  await flushFolder(folder)
  await flushFolder(dataDir)
  await prune(dataDir)
  return undefined
}

/** @throws Error when the copy is damaged. The caller removes what was unpacked. */
export async function unpackCopy({ path }: Copy, into: string): Promise<void> {
  await pipeline(createReadStream(path), createGunzip(), (chunks: AsyncIterable<Buffer>) =>
    writeParts(tarParts(chunks), into),
  )
  await flushFolders(into)
}

async function writeParts(parts: AsyncIterable<TarPart>, into: string): Promise<void> {
  let file: FileHandle | undefined
  try {
    for await (const part of parts) {
      if ('content' in part) {
        await file?.writeFile(part.content)
        continue
      }
      await file?.sync()
      await file?.close()
      const path = join(into, part.entry.name)
      file = undefined
      if (part.entry.isFolder) await mkdir(path, { recursive: true, mode: 0o700 })
      else file = await open(path, 'wx', 0o600)
    }
    await file?.sync()
  } finally {
    await file?.close()
  }
}

async function writeArchive(source: string, path: string, signal: AbortSignal): Promise<void> {
  const file = createWriteStream(path, { mode: 0o600, flush: true } as { mode: number })
  await pipeline(Readable.from(archive(source)), createGzip({ level: 1 }), file, { signal })
}

/** The log comes last: it must cover every change in the other files. */
async function* archive(source: string): AsyncGenerator<Buffer> {
  yield* archiveFolder(source, '', (name) => name === LOG_FOLDER || NOT_COPIED.has(name))
  yield* archiveFolder(source, LOG_FOLDER, () => false)
  yield tarEnd()
}

/** Belong to the running process, and to a running query. */
const NOT_COPIED = new Set(['postmaster.pid', 'pgsql_tmp'])

async function* archiveFolder(
  source: string,
  folder: string,
  isLeftOut: (name: string) => boolean,
): AsyncGenerator<Buffer> {
  if (folder !== '') yield tarHeader({ name: folder, isFolder: true, sizeBytes: 0 })
  for (const entry of await readdir(join(source, folder), { withFileTypes: true })) {
    const name = folder === '' ? entry.name : `${folder}/${entry.name}`
    if (isLeftOut(entry.name)) continue
    if (entry.isDirectory()) yield* archiveFolder(source, name, isLeftOut)
    else yield* archiveFile(join(source, name), name)
  }
}

/** Archives the size that the file has when opened: the log covers later growth and truncation. */
async function* archiveFile(path: string, name: string): AsyncGenerator<Buffer> {
  const fd = openIfThere(path)
  if (fd === undefined) return
  try {
    const sizeBytes = fstatSync(fd).size
    yield tarHeader({ name, isFolder: false, sizeBytes })
    for (let at = 0; at < sizeBytes; at += CHUNK_BYTES) {
      yield readChunk(fd, at, Math.min(CHUNK_BYTES, sizeBytes - at))
    }
    yield tarPadding(sizeBytes)
  } finally {
    closeSync(fd)
  }
}

function openIfThere(path: string): number | undefined {
  try {
    return openSync(path, 'r')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/**
 * Synchronous: this takes less of the event loop than the callbacks of hundreds of small reads. The
 * next chunk is read only when gzip, on another thread, is done with this one.
 */
function readChunk(fd: number, at: number, bytes: number): Buffer {
  const chunk = Buffer.alloc(bytes)
  readSync(fd, chunk, 0, bytes, at)
  return chunk
}

async function obstacleTo(source: string): Promise<string | undefined> {
  const entries = await readdir(source, { recursive: true, withFileTypes: true })
  let bytes = 0
  for (const entry of entries.filter((one) => one.isFile())) {
    bytes += await stat(join(entry.parentPath, entry.name)).then(
      ({ size }) => size,
      () => 0,
    )
  }
  if (bytes > MOST_BYTES) return `the database is larger than ${MOST_BYTES / 1024 ** 3} GB`
  const { bavail, bsize } = await statfs(source)
  return bavail * bsize < bytes ? 'the disk has no room for it' : undefined
}

/** Keeps the newest two, the last of the day before, and the last before a migration. */
async function prune(dataDir: string): Promise<void> {
  const copies = await listCopies(dataDir)
  const hourly = copies.filter(({ reason }) => reason === 'hourly')
  const today = hourly[0] && dayOf(hourly[0])
  const kept = new Set([
    ...hourly.slice(0, 2),
    hourly.find((copy) => dayOf(copy) !== today),
    copies.find(({ reason }) => reason === 'before-migration'),
  ])
  for (const copy of copies) if (!kept.has(copy)) await rm(copy.path)
}

const dayOf = ({ takenAt }: Copy) => takenAt.toISOString().slice(0, 10)
