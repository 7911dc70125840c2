/**
 * What a disk would hold of a folder after a power cut: the names that were flushed with their
 * folders, and the contents that were flushed with their files.
 *
 * Flushing a file also keeps its name, as ext4, XFS, Btrfs, APFS and NTFS do.
 */

import { lstatSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'

/** A file or folder for as long as it exists; inode numbers are used again, these are not. */
type Id = number
type Entry = { id: Id; isFolder: boolean }
type Names = Map<string, Entry>

const BLOCK_BYTES = 4096

/**
 * Of what was not flushed: nothing at all, every name but no content (files of 0 bytes), or each
 * name and each block by chance.
 */
export type Loss = 'everything' | 'contents' | 'some'

export class DiskMemory {
  readonly #root: string
  readonly #ids = new Map<number, Id>()
  readonly #names = new Map<Id, Names>()
  readonly #contents = new Map<Id, Buffer>()
  /** Of each file, which flush its content is from. */
  readonly #flushes = new Map<Id, number>()
  #nextId = 1

  /** What is there now is on the disk. */
  constructor(root: string) {
    this.#root = resolve(root)
    this.#keepAll(this.#root)
  }

  holds(path: string): boolean {
    return resolve(path) === this.#root || resolve(path).startsWith(`${this.#root}/`)
  }

  /** The names in a folder. */
  keepNames(folder: string): void {
    this.#names.set(this.#idOf(folder), this.#namesNow(folder))
  }

  /**
   * @param content as it was when the flush began.
   * @param flush counted up with each: one that began earlier and ends later takes nothing back.
   */
  keepContent(path: string, content: Buffer, flush: number): void {
    const id = this.#idOf(path)
    if (flush > (this.#flushes.get(id) ?? 0)) {
      this.#flushes.set(id, flush)
      this.#contents.set(id, content)
    }
    const names = this.#names.get(this.#idOf(dirname(path)))
    names?.set(path.slice(dirname(path).length + 1), { id, isFolder: false })
  }

  /** Ahead of its removal, or of a rename onto it: its inode's number may be given to another. */
  forgetInode(path: string): void {
    const stats = lstatSync(path, { throwIfNoEntry: false })
    if (!stats) return
    if (stats.isDirectory())
      for (const name of readdirSync(path)) this.forgetInode(join(path, name))
    if (stats.nlink <= 1 || stats.isDirectory()) this.#ids.delete(stats.ino)
  }

  /** Writes what is left into an empty folder. @param chance gives numbers from 0 up to 1. */
  writeRest(target: string, loss: Loss, chance: () => number): void {
    this.#writeFolder(this.#idOf(this.#root), this.#root, target, { loss, chance })
  }

  #keepAll(folder: string): void {
    this.keepNames(folder)
    for (const [name, { id, isFolder }] of this.#namesNow(folder)) {
      if (isFolder) this.#keepAll(join(folder, name))
      else this.#contents.set(id, readFileSync(join(folder, name)))
    }
  }

  #idOf(path: string): Id {
    const { ino } = lstatSync(path)
    const id = this.#ids.get(ino) ?? this.#nextId++
    this.#ids.set(ino, id)
    return id
  }

  #namesNow(folder: string): Names {
    return new Map(
      readdirSync(folder, { withFileTypes: true }).map((entry) => [
        entry.name,
        { id: this.#idOf(join(folder, entry.name)), isFolder: entry.isDirectory() },
      ]),
    )
  }

  /** @param now where the folder is at the moment; undefined when it has been removed. */
  #writeFolder(id: Id, now: string | undefined, target: string, cut: Cut): void {
    mkdirSync(target, { recursive: true, mode: 0o700 })
    const kept = this.#names.get(id) ?? new Map<string, Entry>()
    const present: Names = now === undefined ? kept : this.#namesNow(now)
    for (const name of new Set([...kept.keys(), ...present.keys()])) {
      const entry = chosen(kept.get(name), present.get(name), cut)
      if (!entry) continue
      const isThere = now !== undefined && present.get(name)?.id === entry.id
      const there = isThere ? join(now, name) : undefined
      if (entry.isFolder) this.#writeFolder(entry.id, there, join(target, name), cut)
      else this.#writeFile(entry.id, there, join(target, name), cut)
    }
  }

  #writeFile(id: Id, now: string | undefined, target: string, { loss, chance }: Cut): void {
    const kept = this.#contents.get(id) ?? Buffer.alloc(0)
    const isSure = loss !== 'some' || now === undefined
    writeFileSync(target, isSure ? kept : mixed(kept, readFileSync(now), chance), { mode: 0o600 })
  }
}

type Cut = { loss: Loss; chance: () => number }

function chosen(kept: Entry | undefined, present: Entry | undefined, { loss, chance }: Cut) {
  if (loss === 'everything') return kept
  if (loss === 'contents') return present
  return chance() < 0.5 ? kept : present
}

/** Each block from one of the two; the length of one of them. */
function mixed(kept: Buffer, present: Buffer, chance: () => number): Buffer {
  const bytes = Buffer.alloc((chance() < 0.5 ? kept : present).length)
  for (let at = 0; at < bytes.length; at += BLOCK_BYTES) {
    const source = chance() < 0.5 ? kept : present
    source.subarray(at, at + BLOCK_BYTES).copy(bytes, at)
  }
  return bytes
}
