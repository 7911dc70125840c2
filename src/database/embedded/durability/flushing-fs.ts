/**
 * The embedded database's files on the host, with the flushes that PostgreSQL asks for: `fsync` of
 * PGlite's NodeFS reports success and does nothing.
 *
 * Flushes of the write-ahead log are deferred and shared (log-flush.ts). All other files are
 * flushed at once, and none is written while a flush of the log is pending.
 */

import { fsyncSync } from 'node:fs'
import { NodeFS } from '@electric-sql/pglite/nodefs'
import type { LogFlush, LogSegment } from './log-flush.ts'
import type { LogSpace } from './log-space.ts'

/** A file or folder of Emscripten; only the fields used here. */
type Node = { name: string; parent: Node }
type Stream = { nfd: number; node: Node }

/** Emscripten's NODEFS (its src/lib/libnodefs.js). All open files share these objects. */
type HostFiles = {
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
/** Timeline and segment number. Other files in the folder are flushed at once. */
export const LOG_SEGMENT = /^[0-9A-F]{24}$/

export class FlushingFs extends NodeFS {
  readonly #log: LogFlush
  readonly #space: LogSpace
  #loggedBytes = 0

  constructor(folder: string, log: LogFlush, space: LogSpace) {
    super(folder)
    this.#log = log
    this.#space = space
  }

  /** Bytes written to the write-ahead log since the database was opened. */
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
      nodeOps[name] = this.#afterTheLog(nodeOps[name])
    }
    streamOps.setattr = this.#afterTheLog(streamOps.setattr)
    streamOps.fsync = (stream) => this.#flush(files, stream)
    const write = streamOps.write
    streamOps.write = (stream, buffer, offset, length, position) => {
      if (isSegment(stream.node)) this.#loggedBytes += length
      else if (this.#log.isPending && !isZero(buffer, offset, length)) this.#flushLog()
      const operation = () => write(stream, buffer, offset, length, position)
      return isOfLog(stream.node) ? this.#space.writeLog(operation) : operation()
    }
  }

  #afterTheLog(operation: Operation): Operation {
    return (...args) => {
      this.#flushLog()
      return operation(...args)
    }
  }

  #flush(files: HostFiles, stream: Stream): number {
    if (isSegment(stream.node)) {
      this.#log.request(stream.nfd, () => keepOpen(files, stream))
    } else {
      this.#flushLog()
      this.#space.flush(() => fsyncSync(stream.nfd))
    }
    return 0
  }

  #flushLog(): void {
    if (this.#log.isPending) this.#space.flush(() => this.#log.flushNow())
  }
}

const isOfLog = ({ parent }: Node) => parent.name === LOG_FOLDER
const isSegment = (node: Node) => isOfLog(node) && LOG_SEGMENT.test(node.name)

/** Keeps a segment open for its flush: PostgreSQL may close a full one before the flush begins. */
function keepOpen({ stream_ops: streamOps }: HostFiles, stream: Stream): LogSegment {
  streamOps.dup(stream)
  return { fd: stream.nfd, release: () => streamOps.close(stream) }
}

const ZEROS = Buffer.alloc(1 << 18)

/** Whether only zeros are written, as when a table grows: they do not depend on the log. */
function isZero({ buffer, byteOffset }: Uint8Array, offset: number, length: number): boolean {
  const bytes = Buffer.from(buffer, byteOffset + offset, length)
  return length <= ZEROS.length && bytes.equals(ZEROS.subarray(0, length))
}
