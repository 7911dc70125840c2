/**
 * Finds words in conversations, which are sealed: opens what the caller may read, newest first, and
 * compares it. No index of words is kept, as it would tell what the texts hold.
 */

import { FairQueue } from '../../../concurrency/fair-queue.ts'
import { Slice } from '../../../concurrency/slices.ts'
import { AppError } from '../../../errors.ts'
import type { Repositories } from '../../../repositories/index.ts'
import type { Caller } from '../../access/caller.ts'
import { wrongField } from '../../access/field-rules.ts'
import { type ConversationVault, textOf, type Vault } from '../../keys/vault.ts'
import { type Candidate, candidates, type ScanPlace, type SearchIn } from './candidates.ts'
import { decodePlace, encodePlace } from './search-cursor.ts'
import { SearchQuery } from './search-query.ts'
import { snippetOf } from './snippet.ts'

type Deps = { repositories: Pick<Repositories, 'searches'>; vault: Vault }

/** UTC days, both included. */
type Days = { from?: string | undefined; to?: string | undefined }

export type Search = Days & {
  query: string
  searched: SearchIn
  limit: number
  cursor?: string | undefined
}

/** A title, or a message of the conversation. */
export type SearchHit = {
  conversationId: string
  title: string
  /** Whether another user is the conversation's owner. */
  isOthersConversation: boolean
  message: { id: string; position: number; role: 'user' | 'assistant' } | null
  snippet: string
  /** Whether another user wrote what the snippet is cut from. */
  isOthersText: boolean
  createdAt: Date
}

export type SearchResult = {
  hits: SearchHit[]
  /** How many titles and messages were compared. */
  searched: number
  /** Where the next call goes on; null when everything was searched. */
  nextCursor: string | null
}

/** One call ends after whichever comes first; the cursor leads to the rest. */
const MOST_ROWS = 60_000
const MOST_MS = 800

/** Longer texts are folded in parts. */
const LONG_CHARACTERS = 64 * 1024

const SEARCHES_AT_ONCE = 4
const MAX_WAITING = 100
const RETRY_AFTER_SECONDS = 5

export class SearchService {
  readonly #deps: Deps
  /** One at a time for each user. */
  readonly #queue = new FairQueue({
    concurrency: SEARCHES_AT_ONCE,
    concurrencyPerKey: 1,
    maxQueued: MAX_WAITING,
    refuse: tooManySearches,
  })

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /**
   * Titles first, then messages, newest first; those shared with the caller after their own.
   *
   * @throws AppError invalid_input for a query without words, days in the wrong order, or a cursor
   *   of another search; overloaded.
   */
  async search(caller: Caller, wanted: Search): Promise<SearchResult> {
    const query = new SearchQuery(wanted.query)
    const { cursor, limit, ...terms } = wanted
    const start = decodePlace(this.#deps.vault, caller.userId, terms, cursor)
    return this.#queue.run(caller.userId, () => this.#scan(caller, query, wanted, start))
  }

  async #scan(
    { userId }: Caller,
    query: SearchQuery,
    { limit, cursor: _cursor, ...terms }: Search,
    start: ScanPlace | undefined,
  ): Promise<SearchResult> {
    const until = performance.now() + MOST_MS
    const range = { userId, ...rangeOf(terms) }
    const hits: SearchHit[] = []
    let searched = 0
    const stopAt = (place: ScanPlace) => ({
      hits,
      searched,
      nextCursor: encodePlace(this.#deps.vault, userId, terms, place),
    })
    const slice = new Slice()
    const { searches } = this.#deps.repositories
    for await (const page of candidates(searches, terms.searched, range, start)) {
      slice.begin()
      for (const candidate of page) {
        const compared = this.#compare(candidate, query, slice)
        if (compared !== undefined) {
          const hit = await compared
          if (hit !== undefined) hits.push(hit)
        }
        searched += 1
        if (hits.length === limit) return stopAt(candidate.place)
        if (slice.isOver) await slice.next()
      }
      const last = page.at(-1)
      if (last && (searched >= MOST_ROWS || performance.now() > until)) return stopAt(last.place)
    }
    return { hits, searched, nextCursor: null }
  }

  /** A promise only where there is a hit, or a long text: most candidates are neither. */
  #compare(candidate: Candidate, query: SearchQuery, slice: Slice) {
    const { conversation, message } = candidate
    if (message && !message.isListed) return undefined
    const vault = this.#deps.vault.openConversation(conversation.ref)
    const text = message
      ? textOf(vault.openContent(message.id, message.content))
      : vault.openTitle(conversation.title)
    const opened = { ...candidate, vault, text }
    if (text.length > LONG_CHARACTERS) return compareLong(opened, query, slice)
    return query.matches(text) ? toHit(opened, query, slice) : undefined
  }
}

type Opened = Candidate & { vault: ConversationVault; text: string }

async function compareLong(opened: Opened, query: SearchQuery, slice: Slice) {
  return (await query.matchesLong(opened.text, slice)) ? toHit(opened, query, slice) : undefined
}

async function toHit(
  { conversation, message, createdAt, vault, text }: Opened,
  query: SearchQuery,
  slice: Slice,
): Promise<SearchHit> {
  return {
    conversationId: conversation.id,
    title: message ? vault.openTitle(conversation.title) : text,
    message: message && { id: message.id, position: message.position, role: message.role },
    isOthersConversation: conversation.isOthers,
    snippet: await snippetOf(text, query, slice),
    isOthersText: (message ?? conversation).isOthers,
    createdAt,
  }
}

const DAY_MS = 86_400_000
/** Before any conversation, and after. */
const EVER = { from: '-infinity', to: 'infinity' }

/** @throws AppError invalid_input for days in the wrong order. */
function rangeOf({ from, to }: Days) {
  if (from !== undefined && to !== undefined && from > to) {
    throw wrongField('from', `must not be after to (${to})`)
  }
  return {
    from: from === undefined ? EVER.from : `${from}T00:00:00Z`,
    to: to === undefined ? EVER.to : new Date(Date.parse(to) + DAY_MS).toISOString(),
  }
}

const tooManySearches = () =>
  new AppError('overloaded', 'Too many searches at this moment. Try again shortly.', {
    retryAfterSeconds: RETRY_AFTER_SECONDS,
  })
