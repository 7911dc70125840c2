/**
 * Text as a search compares it: Unicode's compatible form (NFKC), lower case, white space as one
 * space. So full-width letters, ligatures and composed accents are found however they were typed.
 */

/**
 * A character with the marks that compose with it. Folding these one by one gives what folding the
 * whole text gives, and tells where each part came from.
 */
const CLUSTER = /\s+|.(?:[\p{M}\u1160-\u11ff])*/gsu

const WHITE_SPACE = /\s+/g

/** Both lower-case forms of the Greek sigma are one letter. */
const lowered = (text: string) => text.toLowerCase().replaceAll('ς', 'σ')

/** With white space as it is, which only a phrase needs folded. */
export const foldLetters = (text: string) => lowered(text.normalize('NFKC'))

export const foldText = (text: string) => foldLetters(text).replace(WHITE_SPACE, ' ')

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
