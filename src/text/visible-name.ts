/**
 * Cleans names that unknown users chose, for display to people and models: one line, without
 * characters that are invisible, look blank or cover adjacent lines (Unicode Technical Standard 39,
 * section 3.1; Technical Report 36, section 2).
 */

const MAX_CHARACTERS = 100

/** Also what fonts do not draw: unassigned, private use, lone surrogates. */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Default_Ignorable_Code_Point}]/gu
/** Look blank but are not spaces by category: Braille, music, Khitan, Egyptian and Bamum blanks. */
const BLANK = /[\s\p{Z}\u0085\u2800\u{1d159}\u{16fe4}\u{13441}\u{13442}\u{1da9b}]+/gu
/** Drawn around or through letters of any script. */
const ENCLOSING = /\p{Me}/gu
/** Marks without a base letter. */
const UNCARRIED = /(^| )\p{M}+/gu
/** Accents shared by all scripts; a script's own marks may come in twos (Thai, Hebrew). */
const SHARED_ACCENT = /[\p{Script=Inherited}\p{Script=Common}]/u
const MAX_SHARED_ACCENTS = 1
const MAX_MARKS = 2
const VISIBLE = /[\p{L}\p{N}\p{S}]/u

/** @returns undefined when nothing readable is left. */
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

/** More marks than any language puts on a letter would overlap the lines above and below. */
function unstacked(marks: string): string {
  let shared = 0
  const carried = [...marks].filter(
    (mark) => !SHARED_ACCENT.test(mark) || shared++ < MAX_SHARED_ACCENTS,
  )
  return carried.slice(0, MAX_MARKS).join('')
}
