/**
 * The check behind every token, for all that ask at the same moment in one prepared statement; and
 * in the same one the count of what their users ask.
 */

import type { Kysely } from 'kysely'
import { prepare } from '../database/prepared.ts'
import type { Schema, SessionKind } from '../database/schema.ts'

/** A session as its requests name it: by the id in a signed token, or by the hash of a secret. */
export type SessionProof = { id: string; userId: string } | { tokenHash: Buffer }

/** A use of a session is noted down at most this often. */
export const NOTED_EVERY = "interval '5 minutes'"

/** Where users' requests are counted: a row of rate_limits each, the prefix and then their id. */
export type UserCounter = { keyPrefix: string; windowMs: number }

/** How many requests are in the window, those just counted included. PostgreSQL's clock decides. */
export type Count = { hits: number; resetAt: Date }

export type LiveSession = {
  id: string
  kind: SessionKind
  scopes: string[] | null
  userId: string
  username: string
  usernameKey: string
  isUseToBeNoted: boolean
}

/** Requests that name the same session. */
export type AskedSession = { proof: SessionProof; times: number }

/** `count`: after all requests of its user; null where nothing was to be counted. */
export type FoundSession = LiveSession & { count: Count | null }

/** Lists are sent as text, on which both databases' drivers agree. */
type Values = {
  ids: string
  userIds: string
  tokenHashes: string
  times: string
  isCounted: boolean
  keyPrefix: string
  windowSeconds: number
}
type Row = LiveSession & { place: number; hits: number | null; resetAt: Date | null }
type Place = (value: keyof Values, type: string) => string

const list = (value: Place, name: keyof Values, type: string) =>
  `string_to_array(${value(name, 'text')}, ',')::${type}[]`

const byId = (value: Place) => `
  unnest(${list(value, 'ids', 'uuid')}, ${list(value, 'userIds', 'uuid')}, ${list(value, 'times', 'int')})
    with ordinality as asked (id, user_id, times, place)
  join sessions s on s.id = asked.id and s.user_id = asked.user_id`

const byTokenHash = (value: Place) => `
  unnest(${list(value, 'tokenHashes', 'text')}, ${list(value, 'times', 'int')})
    with ordinality as asked (token_hash, times, place)
  join sessions s on s.token_hash = decode(asked.token_hash, 'hex')`

/** Counters are locked in the order of their keys, so that no two statements wait for each other. */
const check = (askedSessions: (value: Place) => string) => (value: Place) =>
  `
  with live as (
    select
      asked.place::int, asked.times, s.id, s.kind, s.scopes,
      u.id as user_id, u.username, u.username_key,
      coalesce(s.last_used_at < now() - ${NOTED_EVERY}, true) as is_use_to_be_noted
    from ${askedSessions(value)}
    join users u on u.id = s.user_id
    where s.revoked_at is null and s.expires_at > now()
  ), counted as (
    insert into rate_limits as r (key, hits, reset_at)
    select
      ${value('keyPrefix', 'text')} || user_id, sum(times),
      now() + make_interval(secs => ${value('windowSeconds', 'float8')})
    from live
    where ${value('isCounted', 'boolean')}
    group by user_id
    order by 1
    on conflict (key) do update set
      hits = case when r.reset_at <= now() then excluded.hits else r.hits + excluded.hits end,
      reset_at = case when r.reset_at <= now() then excluded.reset_at else r.reset_at end
    returning key, hits, reset_at
  )
  select live.*, counted.hits, counted.reset_at
  from live
  left join counted on counted.key = ${value('keyPrefix', 'text')} || live.user_id`

const checkById = prepare<Values, Row>('check_sessions_by_id', check(byId))
const checkByTokenHash = prepare<Values, Row>('check_sessions_by_hash', check(byTokenHash))

const NO_COUNTER: UserCounter = { keyPrefix: '', windowMs: 0 }

export class SessionCheckRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  /**
   * Those of the sessions that are neither expired nor revoked.
   *
   * @param asked different from one another, and all of the same kind of proof.
   * @returns by their place in `asked`.
   */
  async findLive(
    asked: readonly AskedSession[],
    counter: UserCounter | null,
  ): Promise<Map<number, FoundSession>> {
    const { keyPrefix, windowMs } = counter ?? NO_COUNTER
    const proofs = asked.map(({ proof }) => proof)
    const byHash = proofs.flatMap((proof) => ('tokenHash' in proof ? [proof] : []))
    const signed = proofs.flatMap((proof) => ('id' in proof ? [proof] : []))
    const values = {
      ids: signed.map(({ id }) => id).join(),
      userIds: signed.map(({ userId }) => userId).join(),
      tokenHashes: byHash.map(({ tokenHash }) => tokenHash.toString('hex')).join(),
      times: asked.map(({ times }) => times).join(),
      isCounted: counter !== null,
      keyPrefix,
      windowSeconds: windowMs / 1000,
    }
    const rows = await (byHash.length > 0 ? checkByTokenHash : checkById)(this.#db, values)
    return new Map(
      rows.map(({ place, hits, resetAt, ...session }) => {
        const count = hits === null || resetAt === null ? null : { hits, resetAt }
        return [place - 1, { ...session, count }]
      }),
    )
  }
}
