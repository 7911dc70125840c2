/**
 * Checks the sessions of many requests at once in one prepared statement, which also counts the
 * requests of their users.
 */

import type { Kysely } from 'kysely'
import type { InstallationRole, Schema, SessionKind } from '../../database/schema.ts'
import { Batcher, lockLimitOf } from '../../database/statements/batcher.ts'
import { jsonRows, rowOf } from '../../database/statements/json-rows.ts'
import { prepare } from '../../database/statements/prepared.ts'

/** How requests identify a session: by the id in a signed token, or by the hash of a secret. */
export type SessionProof = { id: string; userId: string } | { tokenHash: Buffer }

/** The same for requests of one session, and for no others. */
export const sessionKeyOf = (proof: SessionProof): string =>
  'id' in proof ? `${proof.id}/${proof.userId}` : proof.tokenHash.toString('base64')

/** The same for requests that a statement may count in one row, as far as they tell. */
export const counterKeyOf = (proof: SessionProof): string =>
  'id' in proof ? proof.userId : proof.tokenHash.toString('base64')

/** The use of a session is recorded at most this often. */
export const NOTED_EVERY = "interval '5 minutes'"

/** Counts users' requests in rows of rate_limits, keyed by this prefix and the user's id. */
export type UserCounter = {
  keyPrefix: string
  windowMs: number
  /** The most requests in a window: above it nothing is read for a request, which is refused. */
  limit?: number
}

/** The number of requests in the window, by PostgreSQL's clock. */
export type Count = { hits: number; resetAt: Date }

export type LiveSession = {
  id: string
  kind: SessionKind
  scopes: string[] | null
  allowedModels: string[] | null
  userId: string
  username: string
  usernameKey: string
  role: InstallationRole
  isUseToBeNoted: boolean
}

/** Requests that name the same session. */
export type AskedSession = { proof: SessionProof; times: number }

/** `countBefore`: without the requests that name it here; null where nothing was counted. */
export type FoundSession = LiveSession & { countBefore: Count | null }

type Values = { asked: string; lockLimit: string; keyPrefix: string; windowSeconds: number }
type Row = LiveSession & { place: number; hits: number | null; resetAt: Date | null }
type Place = (value: keyof Values, type: string) => string

const askedIds = jsonRows({ id: 'uuid', userId: 'uuid', times: 'integer' })
const askedHashes = jsonRows({ tokenHash: 'bytea', times: 'integer' })

/** How a row of `asked` names its session, as `s` in {@link liveSessions}. */
export const NAMED_BY = {
  id: 'id = asked.id and user_id = asked.user_id',
  tokenHash: 'token_hash = asked.token_hash',
}

/** Whether the use of the session `s` is to be recorded. */
export const IS_USE_TO_BE_NOTED = `coalesce(s.last_used_at < now() - ${NOTED_EVERY}, true)`

/**
 * The live sessions of the table `asked`, which has the columns `place` and `times`.
 *
 * @param also further columns.
 */
export const liveSessions = (asked: string, isNamed: string, also: readonly string[] = []) => `
  select
    asked.place, asked.times, s.id, s.kind, s.scopes, s.allowed_models,
    u.id as user_id, u.username, u.username_key, u.role,
    ${[`${IS_USE_TO_BE_NOTED} as is_use_to_be_noted`, ...also].join(', ')}
  from ${asked}
  join ${rowOf('sessions', isNamed)} as s on true
  join ${rowOf('users', 'id = s.user_id')} as u on true
  where s.revoked_at is null and s.expires_at > now() and u.suspended_at is null`

const byId = (value: Place) =>
  liveSessions(askedIds.as('asked', value('asked', 'json')), NAMED_BY.id)

const byTokenHash = (value: Place) =>
  liveSessions(askedHashes.as('asked', value('asked', 'json')), NAMED_BY.tokenHash)

/** Takes no locks and waits for none. */
const check = (live: (value: Place) => string) => (value: Place) =>
  `
  select live.*, null::int as hits, null::timestamptz as reset_at
  from (${live(value)}) as live`

/** After an insert of one request as `r`: adds to the window, or begins the next one. */
export const COUNT_UP = `
    on conflict (key) do update set
      hits = case when r.reset_at <= now() then excluded.hits else r.hits + excluded.hits end,
      reset_at = case when r.reset_at <= now() then excluded.reset_at else r.reset_at end
    returning key, hits, reset_at`

type CountedValue = 'keyPrefix' | 'windowSeconds' | 'lockLimit'

/**
 * Counts the requests of `live`: `counted (key, hits, reset_at)`. Locks counters in the order of
 * their keys, which prevents deadlocks.
 */
export const countedRequests = (value: (value: CountedValue, type: string) => string) => `
  counted as (
    insert into rate_limits as r (key, hits, reset_at)
    select
      ${value('keyPrefix', 'text')} || user_id, sum(times),
      now() + make_interval(secs => ${value('windowSeconds', 'float8')})
    from live, set_config('lock_timeout', ${value('lockLimit', 'text')}, true)
    group by user_id
    order by 1${COUNT_UP}
  )`

const checkAndCount = (live: (value: Place) => string) => (value: Place) =>
  `
  with live as (
    ${live(value)}
  ),${countedRequests(value)}
  select live.*, counted.hits, counted.reset_at
  from live
  left join counted on counted.key = ${value('keyPrefix', 'text')} || live.user_id`

const STATEMENTS = {
  byId: {
    check: prepare<Values, Row>('check_sessions_by_id', check(byId)),
    count: prepare<Values, Row>('count_sessions_by_id', checkAndCount(byId)),
  },
  byTokenHash: {
    check: prepare<Values, Row>('check_sessions_by_hash', check(byTokenHash)),
    count: prepare<Values, Row>('count_sessions_by_hash', checkAndCount(byTokenHash)),
  },
}

export const NO_COUNTER: UserCounter = { keyPrefix: '', windowMs: 0 }
/** Checks are cheap in large batches, and a blocked one is found as fast as in small ones. */
const MOST_TOGETHER = 500

export class SessionCheckRepository {
  readonly #db: Kysely<Schema>
  /** By the counter's prefix, so that a locked counter blocks only checks that count with it. */
  readonly #checks = new Map<string | null, Batcher<AskedSession, FoundSession | undefined>>()

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  /**
   * Each of the sessions that is neither expired nor revoked. One statement checks all, unless one
   * user's locked counter makes the others wait.
   *
   * @param asked distinct, and all with the same kind of proof.
   * @returns in the order of `asked`.
   */
  findLive(
    asked: readonly AskedSession[],
    counter: UserCounter | null,
  ): Promise<FoundSession | undefined>[] {
    return this.#checksOf(counter).askNow(asked)
  }

  #checksOf(counter: UserCounter | null) {
    const known = this.#checks.get(counter?.keyPrefix ?? null)
    if (known !== undefined) return known
    const made = new Batcher<AskedSession, FoundSession | undefined>({
      run: (asked) => this.#findTogether(asked, counter),
      mostTogether: MOST_TOGETHER,
      ...(counter === null ? {} : { keysOf: ({ proof }: AskedSession) => [counterKeyOf(proof)] }),
    })
    this.#checks.set(counter?.keyPrefix ?? null, made)
    return made
  }

  async #findTogether(asked: readonly AskedSession[], counter: UserCounter | null) {
    const { keyPrefix, windowMs } = counter ?? NO_COUNTER
    const signed = asked.flatMap(({ proof, times }) => ('id' in proof ? [{ ...proof, times }] : []))
    const hashed = asked.flatMap(({ proof, times }) =>
      'tokenHash' in proof ? [{ ...proof, times }] : [],
    )
    const statements = hashed.length > 0 ? STATEMENTS.byTokenHash : STATEMENTS.byId
    const statement = counter === null ? statements.check : statements.count
    const rows = await statement(this.#db, {
      asked: hashed.length > 0 ? askedHashes.toJson(hashed) : askedIds.toJson(signed),
      lockLimit: lockLimitOf(asked),
      keyPrefix,
      windowSeconds: windowMs / 1000,
    })
    return inOrder(asked, rows)
  }
}

/** A counter includes all requests of its user, which may name several sessions. */
function inOrder(asked: readonly AskedSession[], rows: readonly Row[]) {
  const hitsLeft = new Map<string, number>()
  const found: (FoundSession | undefined)[] = asked.map(() => undefined)
  for (const { place, hits, resetAt, ...session } of rows) {
    const left = (hitsLeft.get(session.userId) ?? hits ?? 0) - (asked[place]?.times ?? 0)
    hitsLeft.set(session.userId, left)
    const countBefore = hits === null || resetAt === null ? null : { hits: left, resetAt }
    found[place] = { ...session, countBefore }
  }
  return found
}
