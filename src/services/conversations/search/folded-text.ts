/**
 * Text as a search compares it: Unicode's compatible form (NFKC), lower case, white space as one
 * space. So full-width letters, ligatures and composed accents are found however they were typed.
 */

/**
 * A character with the marks that compose with it. Folding these one by one gives what folding the
 * whole text gives, and tells where each part came from.
 */
const CLUSTER = /\s+|.(?:[\p{M}\u1160-\u11ff])*/gsu

const LETTER = /[\p{L}\p{N}]/gu
/** In its compatible form: a letter may stand for a space, or for a mark of the one before. */
const BEGINNING = /^(?![\u1160-\u11ff])[\p{L}\p{N}]/u

const WHITE_SPACE = /\s+/g

/** Both lower-case forms of the Greek sigma are one letter, and the German ß is SS in upper case. */
const lowered = (text: string) => text.toLowerCase().replaceAll('ς', 'σ').replaceAll('ß', 'ss')

/** With white space as it is, which only a phrase needs folded. */
export const foldLetters = (text: string) => lowered(text.normalize('NFKC'))

export const foldText = (text: string) => foldLetters(text).replace(WHITE_SPACE, ' ')

/** Letters that are folded in a millisecond or two. */
const PART = 64 * 1024

/** The text in parts of about that length, whose folded forms together are that of the whole. */
export function* foldableParts(text: string, length = PART): Generator<string> {
  let from = 0
  while (text.length - from > length) {
    const cut = cutAfter(text, from + length)
    yield text.slice(from, cut)
    from = cut
  }
  if (from < text.length) yield text.slice(from)
}

function cutAfter(text: string, at: number): number {
  LETTER.lastIndex = at
  for (let found = LETTER.exec(text); found !== null; found = LETTER.exec(text)) {
    // A place within a character is that of the character.
    if (found.index >= at && BEGINNING.test(found[0].normalize('NFKC'))) return found.index
  }
  return text.length
}

/**
 * Where in the original text a place of its folded form is.
 *
 * @param at in the folded form.
 */
export function originalOffset(text: string, at: number): number {
  let folded = 0
  for (const { 0: cluster, index } of text.matchAll(CLUSTER)) {
    folded += foldText(cluster).length
    if (folded > at) return index
  }
  return text.length
}
