/**
 * The embedded database's files on the host, with the flushes that PostgreSQL asks for. PGlite's own
 * NodeFS leaves them out: its `fsync` says yes and does nothing.
 *
 * Flushes of the write-ahead log are put off and shared (log-flush.ts); everything else is flushed on
 * the spot, and nothing else is written while a flush of the log is put off.
 */

import { fsyncSync } from 'node:fs'
import { NodeFS } from '@electric-sql/pglite/nodefs'
import type { LogFlush, LogSegment } from './log-flush.ts'

/** A file or folder of Emscripten's; the parts of it that are used here. */
type Node = { name: string; parent: Node }
type Stream = { nfd: number; node: Node }

/** Emscripten's NODEFS (its src/lib/libnodefs.js). Every open file calls these very objects. */
type HostFiles = {
  tryFSOperation<T>(operation: () => T): T
  node_ops: Record<'mknod' | 'rename' | 'rmdir' | 'setattr' | 'symlink' | 'unlink', Operation>
  stream_ops: {
    fsync?: (stream: Stream) => number
    write(
      stream: Stream,
      buffer: Uint8Array,
      offset: number,
      length: number,
      position?: number,
    ): number
    setattr: Operation
    dup(stream: Stream): void
    close(stream: Stream): void
  }
}
type Operation = (...args: never[]) => unknown

export const LOG_FOLDER = 'pg_wal'
/** Timeline, and the number of the segment: other files beside them are flushed on the spot. */
export const LOG_SEGMENT = /^[0-9A-F]{24}$/

export class FlushingFs extends NodeFS {
  readonly #log: LogFlush
  #loggedBytes = 0

  constructor(folder: string, log: LogFlush) {
    super(folder)
    this.#log = log
  }

  /** Written to the write-ahead log since the database was opened. */
  get loggedBytes(): number {
    return this.#loggedBytes
  }

  override async init(...[pglite, options]: Parameters<NodeFS['init']>) {
    const { emscriptenOpts } = await super.init(pglite, options)
    const preRun = [
      ...(emscriptenOpts.preRun ?? []),
      (module: { NODEFS: unknown }) => this.#watch(module.NODEFS as HostFiles),
    ]
    return { emscriptenOpts: { ...emscriptenOpts, preRun } }
  }

  #watch(files: HostFiles): void {
    const { node_ops: nodeOps, stream_ops: streamOps } = files
    for (const name of ['mknod', 'rename', 'rmdir', 'setattr', 'symlink', 'unlink'] as const) {
      nodeOps[name] = this.#afterTheLog(files, nodeOps[name])
    }
    streamOps.setattr = this.#afterTheLog(files, streamOps.setattr)
    streamOps.fsync = (stream) => this.#flush(files, stream)
    const write = streamOps.write
    streamOps.write = (stream, buffer, offset, length, position) => {
      if (isSegment(stream.node)) this.#loggedBytes += length
      else if (this.#log.isPending && !isZero(buffer, offset, length)) this.#flushLog(files)
      return write(stream, buffer, offset, length, position)
    }
  }

  #afterTheLog(files: HostFiles, operation: Operation): Operation {
    return (...args) => {
      this.#flushLog(files)
      return operation(...args)
    }
  }

  #flush(files: HostFiles, stream: Stream): number {
    if (isSegment(stream.node)) {
      this.#log.request(stream.nfd, () => keepOpen(files, stream))
    } else {
      this.#flushLog(files)
      files.tryFSOperation(() => fsyncSync(stream.nfd))
    }
    return 0
  }

  #flushLog(files: HostFiles): void {
    if (this.#log.isPending) files.tryFSOperation(() => this.#log.flushNow())
  }
}

const isSegment = ({ name, parent }: Node) => parent.name === LOG_FOLDER && LOG_SEGMENT.test(name)

/** PostgreSQL closes a segment when it is full, maybe before its flush has begun. */
function keepOpen({ stream_ops: streamOps }: HostFiles, stream: Stream): LogSegment {
  streamOps.dup(stream)
  return { fd: stream.nfd, release: () => streamOps.close(stream) }
}

const ZEROS = Buffer.alloc(1 << 18)

/** What a table grows by before it is filled: says nothing that the log has to say first. */
function isZero({ buffer, byteOffset }: Uint8Array, offset: number, length: number): boolean {
  const bytes = Buffer.from(buffer, byteOffset + offset, length)
  return length <= ZEROS.length && bytes.equals(ZEROS.subarray(0, length))
}
