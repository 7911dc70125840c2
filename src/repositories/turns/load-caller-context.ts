/** What a send or a call needs, read with its session: as load-turn-context.ts would. */

import type { Kysely } from 'kysely'
import type { Schema } from '../../database/schema.ts'
import {
  type AskedCaller,
  type CallerRead,
  CallerReads,
  type FoundCaller,
  prepareRead,
} from '../access/caller-reads.ts'
import type { UserCounter } from '../access/session-checks.ts'
import { SENDER_COLUMNS, SENDER_TABLES } from '../billing/sender-context.ts'
import {
  CONVERSATION_COLUMNS,
  sendableConversation,
  type TurnContext,
  type TurnContextRow,
  toTurnContext,
} from './load-turn-context.ts'
import { PAYER_COLUMNS, type PayerValues, PURSE_COLUMN, type TeamPayers } from './team-payers.ts'

/** The conversation that it sends to; null: a new one, or none. And whom it has pay. */
export type AskedContext = PayerValues & { conversationId: string | null }

type AskedOfSender = Pick<AskedContext, 'conversationId'>

const OF_SENDERS: CallerRead<AskedOfSender, TurnContextRow, TurnContext> = {
  name: 'callers',
  asked: { conversationId: 'uuid' },
  columns: `${SENDER_COLUMNS},${CONVERSATION_COLUMNS}`,
  tables: `${SENDER_TABLES}
  left join ${sendableConversation('a.is_allowed')}`,
  toRead: ([row]) => row && toTurnContext(row),
}

const readOfSenders = prepareRead(OF_SENDERS)
const readOfTeams = prepareRead<AskedContext, TurnContextRow, TurnContext>({
  ...OF_SENDERS,
  name: 'team_callers',
  asked: { ...OF_SENDERS.asked, ...PAYER_COLUMNS },
  columns: `${OF_SENDERS.columns}${PURSE_COLUMN}`,
})

export class CallerContextReads {
  readonly #ofSenders: CallerReads<AskedOfSender, TurnContextRow, TurnContext>
  readonly #ofTeams: CallerReads<AskedContext, TurnContextRow, TurnContext>
  readonly #teamPayers: TeamPayers

  constructor(db: Kysely<Schema>, teamPayers: TeamPayers) {
    this.#ofSenders = new CallerReads(db, readOfSenders)
    this.#ofTeams = new CallerReads(db, readOfTeams)
    this.#teamPayers = teamPayers
  }

  /** Undefined when the session is expired or revoked. */
  async find(
    caller: AskedCaller<AskedContext>,
    counter: UserCounter | null,
  ): Promise<FoundCaller<TurnContext> | undefined> {
    const { asked, proof } = caller
    const reads = this.#teamPayers.mayPay(asked, proof) ? this.#ofTeams : this.#ofSenders
    const found = await reads.find(caller, counter)
    if (found?.read) this.#teamPayers.note(found.read, proof)
    return found
  }
}
