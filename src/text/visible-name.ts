/**
 * Names that somebody unknown chose, as people and models are shown them: in one line, without what
 * is not seen, what is seen as a blank, and what covers the lines around it (Unicode Technical
 * Standard 39, section 3.1; Technical Report 36, section 2).
 */

const MAX_CHARACTERS = 100

/** Also what no font draws: not assigned, private, half a pair. */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Default_Ignorable_Code_Point}]/gu
/** Drawn as nothing, though no space by category: Braille, music, Khitan, Egyptian and Bamum blanks. */
const BLANK = /[\s\p{Z}\u0085\u2800\u{1d159}\u{16fe4}\u{13441}\u{13442}\u{1da9b}]+/gu
/** Around or through letters of any script. */
const ENCLOSING = /\p{Me}/gu
/** With no letter to stand on. */
const UNCARRIED = /(^| )\p{M}+/gu
/** Accents that stand on letters of any script; what a script has of its own may come in twos (Thai, Hebrew). */
const SHARED_ACCENT = /[\p{Script=Inherited}\p{Script=Common}]/u
const MAX_SHARED_ACCENTS = 1
const MAX_MARKS = 2
const VISIBLE = /[\p{L}\p{N}\p{S}]/u

/** @returns undefined when nothing is left that could be read. */
export function visibleName(given: string): string | undefined {
  const line = given.replace(BLANK, ' ').replace(UNSEEN, '').normalize('NFC')
  const flat = line
    .replace(ENCLOSING, '')
    .replace(/\p{M}+/gu, unstacked)
    .replace(UNCARRIED, '$1')
    .replace(BLANK, ' ')
    .trim()
  if (!VISIBLE.test(flat)) return undefined
  const characters = [...flat]
  if (characters.length <= MAX_CHARACTERS) return flat
  return `${characters
    .slice(0, MAX_CHARACTERS - 1)
    .join('')
    .trimEnd()}…`
}

/** More marks than a letter carries in any language grow over the lines above and below. */
function unstacked(marks: string): string {
  let shared = 0
  const carried = [...marks].filter(
    (mark) => !SHARED_ACCENT.test(mark) || shared++ < MAX_SHARED_ACCENTS,
  )
  return carried.slice(0, MAX_MARKS).join('')
}
