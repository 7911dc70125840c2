import type { Slice } from '../../../concurrency/slices.ts'
import { beginningOf, endOf } from '../../../text/whole-text.ts'
import { originalOffset } from './folded-text.ts'
import type { SearchQuery } from './search-query.ts'

const SNIPPET_CHARACTERS = 160
/** How much of it stands before what was found. */
const BEFORE = 48
/** A long text is folded in parts, which overlap by this. */
const PART = 16 * 1024

/** The original text around the first hit, on one line, with `…` where it was cut. */
export async function snippetOf(text: string, query: SearchQuery, slice: Slice): Promise<string> {
  const at = await placeOf(text, query, slice)
  const start = at > BEFORE ? at - BEFORE : 0
  const head = endOf(text.slice(start, at), BEFORE)
  const tail = beginningOf(text.slice(at), SNIPPET_CHARACTERS - head.length)
  const cut = (head + tail).replace(/\s+/g, ' ').trim()
  return `${start > 0 ? '…' : ''}${cut}${at + tail.length < text.length ? '…' : ''}`
}

/** In the original text; its beginning when a phrase is too long to be found in one part. */
async function placeOf(text: string, query: SearchQuery, slice: Slice): Promise<number> {
  for (let from = 0; from < text.length; from += PART) {
    const part = text.slice(from, from + PART * 2)
    const place = query.firstPlace(part)
    if (place !== undefined) return from + originalOffset(part, place)
    if (slice.isOver) await slice.next()
  }
  return 0
}
