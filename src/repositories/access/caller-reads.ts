/**
 * Checks the session of a request, counts the request for its user, and reads what its call needs,
 * in one prepared statement: as session-checks.ts and the read would one after the other, with one
 * round trip less. Batches concurrent requests.
 *
 * Nothing is read for a request above the limit, nor for a session without the scope of the read.
 */

import type { Kysely } from 'kysely'
import type { InstallationRole, Schema } from '../../database/schema.ts'
import { Batcher, lockLimitOf } from '../../database/statements/batcher.ts'
import { jsonRows, snakeCase } from '../../database/statements/json-rows.ts'
import { prepare } from '../../database/statements/prepared.ts'
import { mayDo } from './reach.ts'
import {
  type Count,
  countedRequests,
  type LiveSession,
  liveSessions,
  NAMED_BY,
  NO_COUNTER,
  type SessionProof,
  type UserCounter,
} from './session-checks.ts'

/** A request. `readsAll`: whether its token may read all conversations of its user. */
export type AskedCaller<Asked> = { proof: SessionProof; readsAll: boolean; asked: Asked }

/** `read`: undefined for a request that must not have it, or has to read it by itself. */
export type FoundCaller<Read> = {
  session: LiveSession
  count: Count | null
  read: Read | undefined
}

type Columns<Asked> = { [Column in keyof Asked]: string | number | boolean | null }

export type CallerRead<Asked extends Columns<Asked>, Row, Read> = {
  /** The prepared statements are named after it. */
  name: string
  /** What a request asks, with its types in PostgreSQL. */
  asked: Record<keyof Asked, string>
  /** Without it nothing is read; left out: none is needed. */
  scope?: string
  /** SQL of the columns of a {@link Row}. */
  columns: string
  /**
   * SQL of tables that are joined to `a`: a request with what it asks, its `session_id`, `user_id`,
   * `scopes` and `reads_all`. They leave at least one row of each request.
   *
   * @param isAllowed SQL for whether anything is read for it.
   */
  tables: (isAllowed: string) => string
  /** For a read of several rows: SQL that holds for exactly one row of each request. */
  isFirst?: string
  orderBy?: string
  /** @param rows of one request, for which something was read. */
  toRead: (rows: readonly Row[]) => Read | undefined
}

type Placed = {
  asked: string
  lockLimit: string
  keyPrefix: string
  windowSeconds: number
  limit: number | null
}
type Place = (value: keyof Placed, type: string) => string

type SessionRow = Omit<LiveSession, 'id' | 'role'> & {
  sessionId: string
  userRole: InstallationRole
  hits: number | null
  resetAt: Date | null
  isAllowed: boolean
}
type WithSession<Row> = Row & SessionRow & { place: number }
/** The session is in one row of each request. */
type RowOf<Row> = WithSession<Row> | (Row & { place: number; sessionId: null })

const ASKED = { times: 'integer', readsAll: 'boolean' }

/** Makes the statements of a read, once for the process. */
export function prepareRead<Asked extends Columns<Asked>, Row, Read>(
  read: CallerRead<Asked, Row, Read>,
) {
  const ids = jsonRows<string>({ id: 'uuid', userId: 'uuid', ...ASKED, ...read.asked })
  const hashes = jsonRows<string>({ tokenHash: 'bytea', ...ASKED, ...read.asked })
  const also = ['readsAll', ...Object.keys(read.asked)].map((name) => `asked.${snakeCase(name)}`)
  const statementsOf = (way: string, rows: typeof ids, isNamed: string) => {
    const live = (value: Place) =>
      liveSessions(rows.as('asked', value('asked', 'json')), isNamed, [
        ...also,
        's.id as session_id',
      ])
    const select = (callers: string) =>
      selectFor(read as CallerRead<never, unknown, unknown>, callers)
    return {
      check: prepare<Placed, RowOf<Row>>(`check_${read.name}_by_${way}`, (value) =>
        select(uncounted(live(value))),
      ),
      count: prepare<Placed, RowOf<Row>>(
        `count_${read.name}_by_${way}`,
        (value) => `
  with live as (
    ${live(value)}
  ),${countedRequests(value)}${select(counted(value))}`,
      ),
    }
  }
  return {
    byId: { ...statementsOf('id', ids, NAMED_BY.id), toJson: ids.toJson },
    byHash: { ...statementsOf('hash', hashes, NAMED_BY.tokenHash), toJson: hashes.toJson },
    toRead: read.toRead,
  }
}

/** Takes no locks and waits for none. */
const uncounted = (live: string) => `
    select live.*, null::int as hits, null::timestamptz as reset_at, true as is_within
    from (${live}) as live`

const counted = (value: Place) => `
    select live.*, counted.hits, counted.reset_at,
      coalesce(counted.hits - (
        select count(*) from live same where same.user_id = live.user_id
      ) < ${value('limit', 'bigint')}, true) as is_within
    from live
    left join counted on counted.key = ${value('keyPrefix', 'text')} || live.user_id`

function selectFor(
  { scope, columns, tables, isFirst, orderBy }: CallerRead<never, unknown, unknown>,
  callers: string,
): string {
  const isAllowed = scope === undefined ? 'a.is_within' : `(a.is_within and ${mayDo('a', scope)})`
  const session = `
    a.session_id, a.kind, a.scopes, a.allowed_models, a.user_id, a.username, a.username_key,
    a.role as user_role, a.is_use_to_be_noted, a.hits, a.reset_at, ${isAllowed} as is_allowed`
  const inOneRow =
    isFirst && `left join lateral (select${session} where ${isFirst}) as caller on true`
  return `
  select a.place, ${inOneRow ? 'caller.*' : session}, ${columns}
  from (${callers}) as a${tables(isAllowed)}
  ${inOneRow ?? ''}
  ${orderBy ? `order by a.place, ${orderBy}` : ''}`
}

type Prepared<Asked extends Columns<Asked>, Row, Read> = ReturnType<
  typeof prepareRead<Asked, Row, Read>
>

export class CallerReads<Asked extends Columns<Asked>, Row, Read> {
  readonly #db: Kysely<Schema>
  readonly #prepared: Prepared<Asked, Row, Read>
  /** By the counter's prefix and the kind of proof. */
  readonly #checks = new Map<string, Batcher<AskedCaller<Asked>, FoundCaller<Read> | undefined>>()

  constructor(db: Kysely<Schema>, prepared: Prepared<Asked, Row, Read>) {
    this.#db = db
    this.#prepared = prepared
  }

  /** Undefined when the session is expired or revoked. */
  find(
    caller: AskedCaller<Asked>,
    counter: UserCounter | null,
  ): Promise<FoundCaller<Read> | undefined> {
    const name = `${'id' in caller.proof} ${counter?.keyPrefix}`
    const known = this.#checks.get(name)
    if (known !== undefined) return known.load(caller)
    const made = new Batcher<AskedCaller<Asked>, FoundCaller<Read> | undefined>({
      run: (all) => this.#findTogether(all, counter),
      ...(counter && { keysOf: lockedBy, addsUp: true }),
    })
    this.#checks.set(name, made)
    return made.load(caller)
  }

  async #findTogether(callers: readonly AskedCaller<Asked>[], counter: UserCounter | null) {
    const isSigned = 'id' in (callers[0] as AskedCaller<Asked>).proof
    const { byId, byHash } = this.#prepared
    const { check, count, toJson } = isSigned ? byId : byHash
    const { keyPrefix, windowMs, limit } = counter ?? NO_COUNTER
    const rows = await (counter === null ? check : count)(this.#db, {
      asked: toJson(callers.map(toAsked)),
      lockLimit: lockLimitOf(callers),
      keyPrefix,
      windowSeconds: windowMs / 1000,
      limit: limit ?? null,
    })
    return this.#inOrder(callers, rows)
  }

  /** Each request gets its own count, in the order of arrival, as if counted one by one. */
  #inOrder(callers: readonly unknown[], rows: readonly RowOf<Row>[]) {
    const ofPlaces = callers.map((): RowOf<Row>[] => [])
    for (const row of rows) ofPlaces[row.place]?.push(row)
    const left = new Map<string, number>()
    return ofPlaces
      .toReversed()
      .map((its) => this.#toFound(its, left))
      .toReversed()
  }

  /** @param left the hits that are left of each user's count. */
  #toFound(rows: RowOf<Row>[], left: Map<string, number>): FoundCaller<Read> | undefined {
    const first = rows.find((row): row is WithSession<Row> => row.sessionId !== null)
    if (first === undefined) return undefined
    const { userId, resetAt } = first
    const hits = first.hits === null ? null : (left.get(userId) ?? first.hits)
    if (hits !== null) left.set(userId, hits - 1)
    return {
      session: toSession(first),
      count: hits === null || resetAt === null ? null : { hits, resetAt },
      read: first.isAllowed ? this.#prepared.toRead(rows) : undefined,
    }
  }
}

/** What a call locks: its user's counter. */
const lockedBy = ({ proof }: AskedCaller<unknown>) => [
  'id' in proof ? proof.userId : proof.tokenHash.toString('base64'),
]

const toAsked = <Asked extends Columns<Asked>>({ proof, readsAll, asked }: AskedCaller<Asked>) => ({
  ...proof,
  times: 1,
  readsAll,
  ...asked,
})

function toSession(row: SessionRow): LiveSession {
  const { sessionId: id, kind, scopes, allowedModels, userId } = row
  const { username, usernameKey, userRole: role, isUseToBeNoted } = row
  return { id, kind, scopes, allowedModels, userId, username, usernameKey, role, isUseToBeNoted }
}
