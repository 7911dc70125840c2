import type { Slice } from '../../../concurrency/slices.ts'
import { AppError } from '../../../errors.ts'
import { foldableParts, foldLetters, foldText } from './folded-text.ts'

/** More words than a person asks for; each is looked for in every text. */
const MOST_TERMS = 20

/** Words, and phrases in double quotes, typographic ones too. */
const TERM = /["“”„]([^"“”„]*)["“”„]|([^\s"“”„]+)/gu

/**
 * What a search looks for: each word and each "phrase" has to occur, also within a longer word, as
 * some scripts have no spaces. Never a pattern, so that no query takes long.
 */
export class SearchQuery {
  readonly #terms: readonly string[]
  readonly #fold: (text: string) => string

  /** @throws AppError invalid_input for a query without a word, or with too many. */
  constructor(query: string) {
    const found = [...query.matchAll(TERM)].map(([, phrase, word]) =>
      foldText(phrase ?? word ?? ''),
    )
    const terms = new Set(found.map((term) => term.trim()).filter((term) => term !== ''))
    if (terms.size === 0) throw invalidQuery('query must hold a word to look for.')
    if (terms.size > MOST_TERMS) throw invalidQuery(`query must hold at most ${MOST_TERMS} words.`)
    // The longest is the rarest, as a rule: most texts are done after the first comparison.
    this.#terms = [...terms].sort((one, other) => other.length - one.length)
    this.#fold = this.#terms.some((term) => term.includes(' ')) ? foldText : foldLetters
  }

  matches(text: string): boolean {
    return this.#isIn(this.#fold(text))
  }

  /** The same of a text of any length, with pauses. */
  async matchesLong(text: string, slice: Slice): Promise<boolean> {
    let folded = ''
    for (const part of foldableParts(text)) {
      folded += this.#fold(part)
      if (slice.isOver) await slice.next()
    }
    return this.#isIn(folded)
  }

  #isIn(folded: string): boolean {
    return this.#terms.every((term) => folded.includes(term))
  }

  /** Where the first of the terms begins in the folded text; undefined when there is none. */
  firstPlace(text: string): number | undefined {
    const folded = foldText(text)
    const places = this.#terms.map((term) => folded.indexOf(term)).filter((place) => place >= 0)
    return places.length === 0 ? undefined : Math.min(...places)
  }
}

const invalidQuery = (message: string) =>
  new AppError('invalid_input', message, { details: { field: 'query' } })
