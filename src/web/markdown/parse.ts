/** Parses Markdown, of which only harmless constructs are known: no HTML, no images. */

import MarkdownIt, { type Token } from 'markdown-it'
import { linkTarget } from './link-target.ts'

export type { Token }

const MOST_CHARACTERS = 64 * 1024
const MOST_COST = 4000
/** Of lists within lists, and quotations within quotations. */
const MOST_LEVELS = 40

const parser = new MarkdownIt({ html: false, linkify: false, maxNesting: MOST_LEVELS })
// An image would tell its server that the text is being read, and what the address says.
parser.disable(['image'])
// What is no link to the outside stays as it was typed.
parser.validateLink = (url) => linkTarget(url) !== undefined

/**
 * @returns undefined for a text whose parsing could hold up the process (some texts take a thousand
 *   times longer than others of their length), or would lose some of it.
 */
export function parseMarkdown(text: string): Token[] | undefined {
  if (parsingCost(text) > MOST_COST) return undefined
  const tokens = parser.parse(text, {})
  // The parser leaves out what lies deeper.
  return tokens.some(({ level }) => level >= MOST_LEVELS - 2) ? undefined : tokens
}

/** Each may begin or end something, and has to be looked at from every other one. */
const MARKS = /[[\]*_`~<|>&!\\]|(?:[-+]|\d[.)])[ \t]/g
const TABLE_HEADS = /(?:\|[ \t]*:?-+:?[ \t]*)+/g
const CHARACTERS_LIKE_ONE_MARK = 32
const CELLS_LIKE_ONE_MARK = 2

/** Some ten microseconds each in the worst of texts, far fewer in others. Infinity for one that is too long. */
export function parsingCost(text: string): number {
  if (text.length > MOST_CHARACTERS) return Number.POSITIVE_INFINITY
  const marks = countOf(text, MARKS)
  if (marks > MOST_COST) return marks
  const lines = countOf(text, /\n/g)
  // The parser fills each row of a table up to the width of its head.
  const cells = lines * widestTable(text)
  return marks + lines + cells / CELLS_LIKE_ONE_MARK + text.length / CHARACTERS_LIKE_ONE_MARK
}

function widestTable(text: string): number {
  const heads = text.match(TABLE_HEADS) ?? []
  return Math.max(0, ...heads.map((head) => countOf(head, /\|/g)))
}

const countOf = (text: string, pattern: RegExp) => text.match(pattern)?.length ?? 0
