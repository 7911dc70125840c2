/** What a search compares, in its order, and from any place in it. */

import type {
  Searched,
  SearchedMessage,
  SearchedTitle,
  SearchPlace,
  SearchRange,
} from '../../../repositories/conversations/searches.ts'
import type { Repositories } from '../../../repositories/index.ts'

export const SEARCH_IN = ['mine', 'shared', 'all'] as const
export type SearchIn = (typeof SEARCH_IN)[number]

/** How far a search came: what is after this one remains. */
export type ScanPlace = SearchPlace & {
  step: number
  /** In a conversation that is shared: what is before this position remains. */
  within?: { id: string; position: number } | undefined
}

export type Candidate = {
  place: ScanPlace
  conversation: Pick<SearchedTitle, 'id' | 'ref' | 'title' | 'isOthers'>
  /** Null: the title is compared. */
  message: SearchedMessage | null
  createdAt: Date
}

type Searches = Repositories['searches']
type Pages = AsyncGenerator<Candidate[], void, undefined>
type Step = (searches: Searches, range: SearchRange, from: ScanPlace) => Pages

const NEWEST: SearchPlace = { at: 'infinity', id: 'ffffffff-ffff-ffff-ffff-ffffffffffff' }
/** A position after any message. */
const LAST_POSITION = 2_147_483_647

/** Page by page, each of a few hundred. Shared messages come conversation by conversation. */
export async function* candidates(
  searches: Searches,
  searched: SearchIn,
  range: SearchRange,
  start: ScanPlace | undefined,
): Pages {
  const steps = STEPS[searched]
  for (let step = start?.step ?? 0; step < steps.length; step++) {
    const from = start?.step === step ? start : { ...NEWEST, step }
    yield* (steps[step] as Step)(searches, range, from)
  }
}

const titlesOf = (searched: Searched): Step =>
  async function* (searches, range, from) {
    let place = from
    for (;;) {
      const page = await searches.titles(searched, range, place)
      const last = page.at(-1)
      if (last === undefined) return
      place = placeOf(last, from.step)
      yield page.map((title) => ({
        place: placeOf(title, from.step),
        conversation: title,
        message: null,
        createdAt: title.createdAt,
      }))
    }
  }

const ownMessages: Step = async function* (searches, range, from) {
  let place = from
  for (;;) {
    const page = await searches.ownMessages(range, place)
    const last = page.at(-1)
    if (last === undefined) return
    place = placeOf(last, from.step)
    yield page.map((message) => toCandidate(message, placeOf(message, from.step)))
  }
}

const sharedMessages: Step = async function* (searches, range, from) {
  let before: SearchPlace = from
  for (;;) {
    const titles = await searches.titles('shared', range, before)
    if (titles.length === 0) return
    for (const { at, id } of titles) {
      const isBegun = from.within?.id === id
      let position = isBegun ? (from.within?.position ?? 0) : LAST_POSITION
      for (;;) {
        const page = await searches.messagesOf(id, range, position)
        position = page.at(-1)?.position ?? 0
        if (position === 0) break
        const { at: beforeAt, id: beforeId } = before
        yield page.map((message) => {
          const within = { id, position: message.position }
          return toCandidate(message, { at: beforeAt, id: beforeId, step: from.step, within })
        })
      }
      before = { at, id }
    }
  }
}

const STEPS: Record<SearchIn, readonly Step[]> = {
  mine: [titlesOf('mine'), ownMessages],
  shared: [titlesOf('shared'), sharedMessages],
  all: [titlesOf('mine'), titlesOf('shared'), ownMessages, sharedMessages],
}

const placeOf = ({ at, id }: SearchPlace, step: number): ScanPlace => ({ at, id, step })

const toCandidate = (message: SearchedMessage, place: ScanPlace): Candidate => ({
  place,
  conversation: message.conversation,
  message,
  createdAt: message.createdAt,
})
