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

/** A request, and the conversation that it sends to. `readsAll`: whether its token may read others. */
export type AskedCaller = {
  proof: SessionProof
  readsAll: boolean
  conversationId: string | undefined
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
const askedIds = jsonRows({ id: 'uuid', userId: 'uuid', ...COLUMNS })
const askedHashes = jsonRows({ tokenHash: 'bytea', ...COLUMNS })

type Place = (value: keyof Values, type: string) => string

const byId = (value: Place) =>
  liveSessions(askedIds.as('asked', value('asked', 'json')), NAMED_BY.id, ALSO)
const byHash = (value: Place) =>
  liveSessions(askedHashes.as('asked', value('asked', 'json')), NAMED_BY.tokenHash, ALSO)

const ALSO = ['asked.reads_all', 'asked.conversation_id', 's.id as session_id']

const read = (callers: string) => `
  select
    a.place, a.session_id, a.kind, a.scopes, a.allowed_models, a.user_id, a.username,
    a.username_key, a.role as user_role, a.is_use_to_be_noted, a.hits, a.reset_at, a.is_within,
    ${SENDER_COLUMNS},${CONVERSATION_COLUMNS}
  from (${callers}) as a${SENDER_TABLES}
  left join ${sendableConversation('a.is_within')}`

/** Takes no locks and waits for none. */
const check = (live: (value: Place) => string) => (value: Place) =>
  read(`
    select live.*, null::int as hits, null::timestamptz as reset_at, true as is_within
    from (${live(value)}) as live`)

const checkAndCount = (live: (value: Place) => string) => (value: Place) =>
  `
  with live as (
    ${live(value)}
  ),${countedRequests(value)}${read(`
    select live.*, counted.hits, counted.reset_at,
      coalesce(counted.hits - (
        select count(*) from live same where same.user_id = live.user_id
      ) < ${value('limit', 'bigint')}, true) as is_within
    from live
    left join counted on counted.key = ${value('keyPrefix', 'text')} || live.user_id`)}`

const STATEMENTS = {
  byId: {
    check: prepare<Values, Row>('check_callers_by_id', check(byId)),
    count: prepare<Values, Row>('count_callers_by_id', checkAndCount(byId)),
  },
  byHash: {
    check: prepare<Values, Row>('check_callers_by_hash', check(byHash)),
    count: prepare<Values, Row>('count_callers_by_hash', checkAndCount(byHash)),
  },
}

export class CallerContextRepository {
  readonly #db: Kysely<Schema>
  /** By the counter's prefix and the kind of proof. */
  readonly #checks = new Map<string, Batcher<AskedCaller, CallerContext | undefined>>()

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  /** Undefined when the session is expired or revoked. */
  find(asked: AskedCaller, counter: UserCounter | null): Promise<CallerContext | undefined> {
    const isSigned = 'id' in asked.proof
    const name = `${isSigned} ${counter?.keyPrefix}`
    const known = this.#checks.get(name)
    if (known !== undefined) return known.load(asked)
    const made = new Batcher<AskedCaller, CallerContext | undefined>({
      run: (all) => this.#findTogether(all, counter),
      ...(counter && { keysOf: lockedBy, addsUp: true }),
    })
    this.#checks.set(name, made)
    return made.load(asked)
  }

  async #findTogether(asked: readonly AskedCaller[], counter: UserCounter | null) {
    const isSigned = 'id' in (asked[0] as AskedCaller).proof
    const statements = isSigned ? STATEMENTS.byId : STATEMENTS.byHash
    const statement = counter === null ? statements.check : statements.count
    const { keyPrefix, windowMs, limit } = counter ?? NO_COUNTER
    const rows = await statement(this.#db, {
      asked: toJson(asked),
      lockLimit: lockLimitOf(asked),
      keyPrefix,
      windowSeconds: windowMs / 1000,
      limit: limit ?? null,
    })
    return inPlaces(asked, withOwnHits(rows)).map((row) => row && toCallerContext(row))
  }
}

/** What a call locks: its user's counter. */
const lockedBy = ({ proof }: AskedCaller) => [
  'id' in proof ? proof.userId : proof.tokenHash.toString('base64'),
]

function toJson(asked: readonly AskedCaller[]): string {
  const signed: Parameters<typeof askedIds.toJson>[0][number][] = []
  const hashed: Parameters<typeof askedHashes.toJson>[0][number][] = []
  for (const { proof, readsAll, conversationId = null } of asked) {
    const values = { times: 1, readsAll, conversationId }
    if ('id' in proof) signed.push({ ...proof, ...values })
    else hashed.push({ ...proof, ...values })
  }
  return signed.length > 0 ? askedIds.toJson(signed) : askedHashes.toJson(hashed)
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
