/** Cuts a text to the size of one result. */

/** A larger result would block the process and its reader for too long. */
export const MOST_TEXT_BYTES = 1024 * 1024

export type CutText = {
  text: string
  /** Where the rest begins; null when nothing is left. */
  nextOffset: number | null
}

/**
 * The text from `offset` on, at most `maxBytes` of UTF-8, without splitting a character.
 *
 * @param offset in UTF-16 units: a `nextOffset` of an earlier cut.
 */
export function cutText(text: string, offset: number, maxBytes: number): CutText {
  // A UTF-16 unit takes at most three bytes.
  if ((text.length - offset) * 3 <= maxBytes) return { text: text.slice(offset), nextOffset: null }
  const most = text.slice(offset, offset + maxBytes)
  const { read } = new TextEncoder().encodeInto(most, new Uint8Array(maxBytes))
  const end = offset + read
  return { text: most.slice(0, read), nextOffset: end < text.length ? end : null }
}
