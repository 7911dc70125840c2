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
  counterKeyOf,
  type LiveSession,
  liveSessions,
  NAMED_BY,
  NO_COUNTER,
  type SessionProof,
  sessionKeyOf,
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
   * `scopes` and `reads_all`, and `is_allowed`, without which nothing may be read for it. They leave
   * at least one row of each request.
   */
  tables: string
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
  const mayRead = read.scope === undefined ? 'true' : mayDo('live', read.scope)
  const also = ['readsAll', ...Object.keys(read.asked)].map((name) => `asked.${snakeCase(name)}`)
  const statementsOf = (way: string, rows: typeof ids, isNamed: string) => {
    const live = (value: Place) =>
      liveSessions(rows.as('asked', value('asked', 'json')), isNamed, [
        ...also,
        's.id as session_id',
      ])
    const write =
      (callers: (live: string, value: Place, mayRead: string) => string) => (value: Place) =>
        `${callers(live(value), value, mayRead)}${selectFor(read as Selected)}`
    return {
      check: prepare<Placed, RowOf<Row>>(`check_${read.name}_by_${way}`, write(uncounted)),
      count: prepare<Placed, RowOf<Row>>(`count_${read.name}_by_${way}`, write(counted)),
    }
  }
  return {
    byId: { ...statementsOf('id', ids, NAMED_BY.id), toJson: ids.toJson },
    byHash: { ...statementsOf('hash', hashes, NAMED_BY.tokenHash), toJson: hashes.toJson },
    toRead: read.toRead,
  }
}

/** The requests `a`. Takes no locks and waits for none. */
const uncounted = (live: string, _value: Place, mayRead: string) => `
  with a as materialized (
    select live.*, null::int as hits, null::timestamptz as reset_at, ${mayRead} as is_allowed
    from (${live}) as live
  )`

/** The same, with the count of their user. */
const counted = (live: string, value: Place, mayRead: string) => `
  with live as (
    ${live}
  ),${countedRequests(value)},
  a as materialized (
    select live.*, counted.hits, counted.reset_at,
      coalesce(
        counted.hits - sum(live.times) over (partition by live.user_id) < ${value('limit', 'bigint')},
        true
      ) and ${mayRead} as is_allowed
    from live
    left join counted on counted.key = ${value('keyPrefix', 'text')} || live.user_id
  )`

type Selected = Pick<
  CallerRead<never, unknown, unknown>,
  'columns' | 'tables' | 'isFirst' | 'orderBy'
>

const SESSION_COLUMNS = `
    a.session_id, a.kind, a.scopes, a.allowed_models, a.user_id, a.username, a.username_key,
    a.role as user_role, a.is_use_to_be_noted, a.hits, a.reset_at, a.is_allowed`

function selectFor({ columns, tables, isFirst, orderBy }: Selected): string {
  const inOneRow =
    isFirst && `left join lateral (select${SESSION_COLUMNS} where ${isFirst}) as caller on true`
  return `
  select a.place, ${inOneRow ? 'caller.*' : SESSION_COLUMNS}, ${columns}
  from a${tables}
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
    const groups = alike(callers)
    const rows = await (counter === null ? check : count)(this.#db, {
      asked: toJson([...groups.values()].map(toAsked)),
      lockLimit: lockLimitOf(callers),
      keyPrefix,
      windowSeconds: windowMs / 1000,
      limit: limit ?? null,
    })
    const ofGroups = [...groups.values()].map((): RowOf<Row>[] => [])
    for (const row of rows) ofGroups[row.place]?.push(row)
    const rowsOf = new Map([...groups.keys()].map((key, place) => [key, ofGroups[place] ?? []]))
    return this.#inOrder(callers.map((caller) => rowsOf.get(keyOf(caller)) ?? []))
  }

  /** Each request gets its own count, in the order of arrival, as if counted one by one. */
  #inOrder(rowsOfAll: readonly RowOf<Row>[][]) {
    const left = new Map<string, number>()
    return rowsOfAll
      .toReversed()
      .map((rows) => this.#toFound(rows, left))
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
const lockedBy = ({ proof }: AskedCaller<unknown>) => [counterKeyOf(proof)]

const keyOf = ({ proof, readsAll, asked }: AskedCaller<unknown>) =>
  JSON.stringify([sessionKeyOf(proof), readsAll, asked])

type Group<Asked> = AskedCaller<Asked> & { times: number }

/** Requests of one session that ask the same are read for once. */
function alike<Asked>(callers: readonly AskedCaller<Asked>[]): Map<string, Group<Asked>> {
  const groups = new Map<string, Group<Asked>>()
  for (const caller of callers) {
    const key = keyOf(caller)
    const known = groups.get(key)
    if (known) known.times += 1
    else groups.set(key, { ...caller, times: 1 })
  }
  return groups
}

const toAsked = <Asked extends Columns<Asked>>({
  proof,
  readsAll,
  asked,
  times,
}: Group<Asked>) => ({
  times,
  readsAll,
  ...proof,
  ...asked,
})

function toSession(row: SessionRow): LiveSession {
  const { sessionId: id, kind, scopes, allowedModels, userId } = row
  const { username, usernameKey, userRole: role, isUseToBeNoted } = row
  return { id, kind, scopes, allowedModels, userId, username, usernameKey, role, isUseToBeNoted }
}
