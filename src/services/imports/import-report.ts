import { beginningOf } from '../../text/whole-text.ts'
import type { SkipReason } from './sources/draft.ts'
import { storable } from './sources/texts.ts'

type Skipped = { ref: string; reason: SkipReason }

const MAX_SKIPPED_LISTED = 1_000
const MAX_BLOCK_TYPES = 100
const MAX_REF_LENGTH = 64
/** Stands for the types above the limit. */
const OTHER = 'other'

/**
 * What became of each conversation of a file. `found` is always the sum of the imported, those that
 * were there already, and the skipped.
 */
export class ImportReport {
  found = 0
  imported = 0
  /** Of the imported ones: those that took the place of an earlier import, or stand beside it. */
  replaced = 0
  branched = 0
  already = 0
  skippedInAll = 0
  /** Other branches of conversations, which are not counted as found. */
  branchesLeftOut = 0
  /** The first ones; `ref`: the id in the file, or its place in it, as `#3`. */
  readonly skipped: Skipped[] = []
  readonly #blocksUnknown = new Map<string, number>()

  /** @returns its reference in the report. */
  skip(ref: string | undefined, reason: SkipReason): void {
    this.skippedInAll += 1
    if (this.skipped.length >= MAX_SKIPPED_LISTED) return
    const shown = ref === undefined ? `#${this.found}` : beginningOf(storable(ref), MAX_REF_LENGTH)
    this.skipped.push({ ref: shown, reason })
  }

  noteBlock(type: string): void {
    const isNew = !this.#blocksUnknown.has(type)
    const name = isNew && this.#blocksUnknown.size >= MAX_BLOCK_TYPES ? OTHER : type
    this.#blocksUnknown.set(name, (this.#blocksUnknown.get(name) ?? 0) + 1)
  }

  /** How many blocks of each type were replaced by a marker. */
  get blocksUnknown(): Record<string, number> {
    return Object.fromEntries(this.#blocksUnknown)
  }

  /** As callers see it. */
  toJSON() {
    return {
      found: this.found,
      imported: this.imported,
      replaced: this.replaced,
      branched: this.branched,
      already: this.already,
      skipped: this.skipped,
      skipped_in_all: this.skippedInAll,
      branches_left_out: this.branchesLeftOut,
      blocks_unknown: this.blocksUnknown,
    }
  }
}
