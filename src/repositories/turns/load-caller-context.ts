/**
 * Checks the session of a request, counts the request for its user, and reads what a send or a call
 * of its needs, in one prepared statement: as session-checks.ts and load-turn-context.ts would one
 * after the other, with one round trip less. Batches concurrent requests.
 */

import type { Kysely } from 'kysely'
import type { InstallationRole, Schema, SessionKind } from '../../database/schema.ts'
import { Batcher, lockLimitOf } from '../../database/statements/batcher.ts'
import { inPlaces, jsonRows } from '../../database/statements/json-rows.ts'
import { prepare } from '../../database/statements/prepared.ts'
import {
  type Count,
  countedRequests,
  type LiveSession,
  liveSessions,
  NAMED_BY,
  NO_COUNTER,
  type SessionProof,
  type UserCounter,
} from '../access/session-checks.ts'
import { SENDER_COLUMNS, SENDER_TABLES } from '../billing/sender-context.ts'
import {
  CONVERSATION_COLUMNS,
  sendableConversation,
  type TurnContext,
  type TurnContextRow,
  toTurnContext,
} from './load-turn-context.ts'
import {
  type NamedPayer,
  PAYER_COLUMNS,
  PURSE_COLUMN,
  type TeamPayers,
  toPayerValues,
} from './team-payers.ts'

/**
 * A request, and the conversation that it sends to. `readsAll`: whether its token may read others.
 * `payer`: undefined where it names none.
 */
export type AskedCaller = {
  proof: SessionProof
  readsAll: boolean
  conversationId: string | undefined
  payer: NamedPayer | undefined
}

/** `context`: undefined for a request above its counter's limit, which is refused. */
export type CallerContext = {
  session: LiveSession
  count: Count | null
  context: TurnContext | undefined
}

type Values = {
  asked: string
  lockLimit: string
  keyPrefix: string
  windowSeconds: number
  limit: number | null
}

type Row = Omit<TurnContextRow, 'place'> &
  Omit<LiveSession, 'id' | 'role'> & {
    place: number
    sessionId: string
    userRole: InstallationRole
    kind: SessionKind
    hits: number | null
    resetAt: Date | null
    isWithin: boolean
  }

const COLUMNS = { times: 'integer', readsAll: 'boolean', conversationId: 'uuid' }
const OF_ID = { id: 'uuid', userId: 'uuid', ...COLUMNS }
const OF_HASH = { tokenHash: 'bytea', ...COLUMNS }

type Place = (value: keyof Values, type: string) => string

/** What the statements differ by: whether a team may be the payer, whose purse they read then. */
const ofSenders = {
  asked: { byId: jsonRows(OF_ID), byHash: jsonRows(OF_HASH) },
  also: ['asked.reads_all', 'asked.conversation_id', 's.id as session_id'],
  purse: '',
}
const ofTeams = {
  asked: {
    byId: jsonRows({ ...OF_ID, ...PAYER_COLUMNS }),
    byHash: jsonRows({ ...OF_HASH, ...PAYER_COLUMNS }),
  },
  also: [...ofSenders.also, 'asked.team_id', 'asked.team_name_key', 'asked.is_payer_named'],
  purse: PURSE_COLUMN,
}
type Payers = typeof ofSenders | typeof ofTeams

const byId =
  ({ asked, also }: Payers) =>
  (value: Place) =>
    liveSessions(asked.byId.as('asked', value('asked', 'json')), NAMED_BY.id, also)
const byHash =
  ({ asked, also }: Payers) =>
  (value: Place) =>
    liveSessions(asked.byHash.as('asked', value('asked', 'json')), NAMED_BY.tokenHash, also)

const read = (callers: string, { purse }: Payers) => `
  select
    a.place, a.session_id, a.kind, a.scopes, a.allowed_models, a.user_id, a.username,
    a.username_key, a.role as user_role, a.is_use_to_be_noted, a.hits, a.reset_at, a.is_within,
    ${SENDER_COLUMNS},${CONVERSATION_COLUMNS}${purse}
  from (${callers}) as a${SENDER_TABLES}
  left join ${sendableConversation('a.is_within')}`

type Live = (payers: Payers) => (value: Place) => string

/** Takes no locks and waits for none. */
const check = (live: Live, payers: Payers) => (value: Place) =>
  read(
    `
    select live.*, null::int as hits, null::timestamptz as reset_at, true as is_within
    from (${live(payers)(value)}) as live`,
    payers,
  )

const checkAndCount = (live: Live, payers: Payers) => (value: Place) =>
  `
  with live as (
    ${live(payers)(value)}
  ),${countedRequests(value)}${read(
    `
    select live.*, counted.hits, counted.reset_at,
      coalesce(counted.hits - (
        select count(*) from live same where same.user_id = live.user_id
      ) < ${value('limit', 'bigint')}, true) as is_within
    from live
    left join counted on counted.key = ${value('keyPrefix', 'text')} || live.user_id`,
    payers,
  )}`

const OF_SENDERS = {
  byId: {
    check: prepare<Values, Row>('check_callers_by_id', check(byId, ofSenders)),
    count: prepare<Values, Row>('count_callers_by_id', checkAndCount(byId, ofSenders)),
  },
  byHash: {
    check: prepare<Values, Row>('check_callers_by_hash', check(byHash, ofSenders)),
    count: prepare<Values, Row>('count_callers_by_hash', checkAndCount(byHash, ofSenders)),
  },
}
const OF_TEAMS = {
  byId: {
    check: prepare<Values, Row>('check_team_callers_by_id', check(byId, ofTeams)),
    count: prepare<Values, Row>('count_team_callers_by_id', checkAndCount(byId, ofTeams)),
  },
  byHash: {
    check: prepare<Values, Row>('check_team_callers_by_hash', check(byHash, ofTeams)),
    count: prepare<Values, Row>('count_team_callers_by_hash', checkAndCount(byHash, ofTeams)),
  },
}

export class CallerContextRepository {
  readonly #db: Kysely<Schema>
  readonly #teamPayers: TeamPayers
  /** By the counter's prefix, the kind of proof, and whether a team may pay. */
  readonly #checks = new Map<string, Batcher<AskedCaller, CallerContext | undefined>>()

  constructor(db: Kysely<Schema>, teamPayers: TeamPayers) {
    this.#db = db
    this.#teamPayers = teamPayers
  }

  /** Undefined when the session is expired or revoked. */
  find(asked: AskedCaller, counter: UserCounter | null): Promise<CallerContext | undefined> {
    const isSigned = 'id' in asked.proof
    const isOfTeams = this.#teamPayers.mayPay(asked)
    const name = `${isSigned} ${isOfTeams} ${counter?.keyPrefix}`
    const known = this.#checks.get(name)
    if (known !== undefined) return known.load(asked)
    const made = new Batcher<AskedCaller, CallerContext | undefined>({
      run: (all) => this.#findTogether(all, counter, isOfTeams),
      ...(counter && { keysOf: lockedBy, addsUp: true }),
    })
    this.#checks.set(name, made)
    return made.load(asked)
  }

  async #findTogether(
    asked: readonly AskedCaller[],
    counter: UserCounter | null,
    isOfTeams: boolean,
  ) {
    const by = 'id' in (asked[0] as AskedCaller).proof ? 'byId' : 'byHash'
    const statements = (isOfTeams ? OF_TEAMS : OF_SENDERS)[by]
    const statement = counter === null ? statements.check : statements.count
    const { keyPrefix, windowMs, limit } = counter ?? NO_COUNTER
    const rows = await statement(this.#db, {
      asked: toJson(asked, isOfTeams),
      lockLimit: lockLimitOf(asked),
      keyPrefix,
      windowSeconds: windowMs / 1000,
      limit: limit ?? null,
    })
    for (const row of rows) this.#teamPayers.note(row)
    return inPlaces(asked, withOwnHits(rows)).map((row) => row && toCallerContext(row))
  }
}

/** What a call locks: its user's counter. */
const lockedBy = ({ proof }: AskedCaller) => [
  'id' in proof ? proof.userId : proof.tokenHash.toString('base64'),
]

function toJson(asked: readonly AskedCaller[], isOfTeams: boolean): string {
  const { byId, byHash } = (isOfTeams ? ofTeams : ofSenders).asked
  const signed: Parameters<typeof ofTeams.asked.byId.toJson>[0][number][] = []
  const hashed: Parameters<typeof ofTeams.asked.byHash.toJson>[0][number][] = []
  for (const { proof, readsAll, conversationId = null, payer } of asked) {
    const values = { times: 1, readsAll, conversationId, ...toPayerValues(payer) }
    if ('id' in proof) signed.push({ ...proof, ...values })
    else hashed.push({ ...proof, ...values })
  }
  return signed.length > 0 ? byId.toJson(signed) : byHash.toJson(hashed)
}

/** Each request gets its own count, in the order of arrival, as if counted one by one. */
function withOwnHits(rows: readonly Row[]): Row[] {
  const left = new Map<string, number>()
  return rows
    .toSorted((one, other) => other.place - one.place)
    .map((row) => {
      if (row.hits === null) return row
      const hits = left.get(row.userId) ?? row.hits
      left.set(row.userId, hits - 1)
      return { ...row, hits }
    })
}

function toCallerContext(row: Row): CallerContext {
  const { kind, scopes, allowedModels, userId, username, usernameKey, isUseToBeNoted } = row
  const { sessionId: id, userRole: role, hits, resetAt, isWithin } = row
  return {
    session: {
      id,
      kind,
      scopes,
      allowedModels,
      userId,
      username,
      usernameKey,
      role,
      isUseToBeNoted,
    },
    count: hits === null || resetAt === null ? null : { hits, resetAt },
    context: isWithin ? toTurnContext(row) : undefined,
  }
}
