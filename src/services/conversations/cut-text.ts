/** As much of a text as one result holds. */

/** More would keep the process, and whoever reads it, busy with one result. */
export const MOST_TEXT_BYTES = 1024 * 1024

export type CutText = {
  text: string
  /** Where the rest begins; null when there is none. */
  nextOffset: number | null
}

/**
 * From `offset` on, at most so many bytes of UTF-8, and no half of a character.
 *
 * @param offset in UTF-16 units: a `nextOffset` of an earlier cut.
 */
export function cutText(text: string, offset: number, maxBytes: number): CutText {
  // A unit is one to three bytes.
  if ((text.length - offset) * 3 <= maxBytes) return { text: text.slice(offset), nextOffset: null }
  const most = text.slice(offset, offset + maxBytes)
  const { read } = new TextEncoder().encodeInto(most, new Uint8Array(maxBytes))
  const end = offset + read
  return { text: most.slice(0, read), nextOffset: end < text.length ? end : null }
}
