import type { Kysely } from 'kysely'
import type { Schema } from '../database/schema.ts'
import { type AskedCaller, CallerReads, type FoundCaller } from './access/caller-reads.ts'
import type { UserCounter } from './access/session-checks.ts'
import { readOwnList } from './conversations/conversation-lists.ts'
import { readHistory } from './conversations/messages.ts'
import { readAnswer } from './turns/answers.ts'
import { CallerContextReads } from './turns/load-caller-context.ts'
import type { TeamPayers } from './turns/team-payers.ts'

const createReads = (db: Kysely<Schema>, teamPayers: TeamPayers) => ({
  turnContext: new CallerContextReads(db, teamPayers),
  ownList: new CallerReads(db, readOwnList),
  history: new CallerReads(db, readHistory),
  answer: new CallerReads(db, readAnswer),
})

type All = ReturnType<typeof createReads>
type Find<Name extends ReadName> = All[Name]['find']

export type ReadName = keyof All

/** What a read is asked, and what it gives. */
export type AskedOf<Name extends ReadName> = Parameters<Find<Name>>[0]['asked']
export type ReadOf<Name extends ReadName> = NonNullable<
  NonNullable<Awaited<ReturnType<Find<Name>>>>['read']
>

/** Everything that can be read with the session of the request that needs it. */
export class CallerReadRepository {
  readonly #reads: All

  constructor(db: Kysely<Schema>, teamPayers: TeamPayers) {
    this.#reads = createReads(db, teamPayers)
  }

  /** Undefined when the session is expired or revoked. */
  find<Name extends ReadName>(
    name: Name,
    caller: AskedCaller<AskedOf<Name>>,
    counter: UserCounter | null,
  ): Promise<FoundCaller<ReadOf<Name>> | undefined> {
    const reads = this.#reads[name] as {
      find(asked: typeof caller, countedBy: typeof counter): ReturnType<Find<ReadName>>
    }
    return reads.find(caller, counter) as Promise<FoundCaller<ReadOf<Name>> | undefined>
  }
}
