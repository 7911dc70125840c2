import { type Insertable, type Kysely, sql } from 'kysely'
import type { Schema, SessionKind, SessionsTable } from '../../database/schema.ts'
import { toBigInt } from '../billing/budgets.ts'
import { byDatabaseClock } from '../database-time.ts'
import { isProven } from './authority.ts'
import { NOTED_EVERY } from './session-checks.ts'

export type { SessionKind }

export type NewSession = Omit<
  Insertable<SessionsTable>,
  'expiresAt' | 'limitNanoUsd' | 'provenAt'
> & {
  expiresAt: Date
  /** The most it may spend a month (UTC); null, or left out: no limit of its own. */
  limitNanoUsd?: bigint | null
  /** Whether it begins with a password. */
  isProven?: boolean
}

export class SessionRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  /** Only for services/access/begin-session.ts, which checks the authority in its transaction. */
  async insert({ isProven = false, ...session }: NewSession): Promise<void> {
    const expiresAt = byDatabaseClock(session.expiresAt)
    const provenAt = isProven ? sql<Date>`now()` : null
    await this.#db
      .insertInto('sessions')
      .values({ ...session, expiresAt, provenAt })
      .execute()
  }

  /**
   * Records in a live session that the password was given again, if it is still the user's.
   *
   * @param tokenHash of the session's new secret, if it gets one.
   * @returns when the session expires; undefined when it has ended, or the password was changed
   *   meanwhile.
   */
  async prove(
    { id, userId }: { id: string; userId: string },
    passwordHash: string,
    tokenHash?: Buffer,
  ): Promise<Date | undefined> {
    const session = await this.#db
      .updateTable('sessions')
      .set({ provenAt: sql<Date>`now()`, ...(tokenHash && { tokenHash }) })
      .where('id', '=', id)
      .where('userId', '=', userId)
      .where('revokedAt', 'is', null)
      .where('expiresAt', '>', sql<Date>`now()`)
      .where((where) =>
        where.exists(
          where
            .selectFrom('users')
            .select('users.id')
            .where('users.id', '=', userId)
            .where('users.passwordHash', '=', passwordHash),
        ),
      )
      .returning('expiresAt')
      .executeTakeFirst()
    return session?.expiresAt
  }

  /**
   * Replaces the secret of a session, which must be locked as live (authority.ts).
   *
   * @returns when it expires.
   */
  async renewSecret(id: string, tokenHash: Buffer): Promise<Date> {
    const { expiresAt } = await this.#db
      .updateTable('sessions')
      .set({ tokenHash })
      .where('id', '=', id)
      .returning('expiresAt')
      .executeTakeFirstOrThrow()
    return expiresAt
  }

  /** Whether the password was recently given in a session; undefined when the session has ended. */
  async isProven(id: string, userId: string): Promise<boolean | undefined> {
    const session = await this.#db
      .selectFrom('sessions')
      .select(isProven.as('isProven'))
      .where('id', '=', id)
      .where('userId', '=', userId)
      .where('revokedAt', 'is', null)
      .where('expiresAt', '>', sql<Date>`now()`)
      .executeTakeFirst()
    return session?.isProven
  }

  /** Of concurrent requests one writes; none waits for a locked row. */
  async noteUse(id: string): Promise<void> {
    const free = this.#db
      .selectFrom('sessions')
      .select('id')
      .where('id', '=', id)
      .where((where) =>
        where.or([
          where('lastUsedAt', 'is', null),
          where('lastUsedAt', '<', sql<Date>`now() - ${sql.raw(NOTED_EVERY)}`),
        ]),
      )
      .forUpdate()
      .skipLocked()
    await this.#db
      .updateTable('sessions')
      .set({ lastUsedAt: sql<Date>`now()` })
      .where('id', 'in', free)
      .execute()
  }

  /** A user's live sessions, the newest first. */
  async listLive(userId: string, limit: number) {
    const rows = await this.#db
      .selectFrom('sessions')
      .select([
        'id',
        'kind',
        'name',
        'clientId',
        'scopes',
        'limitNanoUsd',
        'allowedModels',
        'createdAt',
        'expiresAt',
        'lastUsedAt',
        PAYING_TEAMS,
      ])
      .where('userId', '=', userId)
      .where('revokedAt', 'is', null)
      .where('expiresAt', '>', sql<Date>`now()`)
      .orderBy('createdAt', 'desc')
      .orderBy('id', 'desc')
      .limit(limit)
      .execute()
    return rows.map((row) => ({ ...row, limitNanoUsd: toBigInt(row.limitNanoUsd) }))
  }

  /** What connections with their own limit spent in a month. */
  async listSpending(userId: string, month: string) {
    const rows = await this.#db
      .selectFrom('connectionSpending')
      .innerJoin('sessions', 'sessions.id', 'connectionSpending.sessionId')
      .select(['connectionSpending.sessionId', 'connectionSpending.spentNanoUsd'])
      .where('sessions.userId', '=', userId)
      .where('connectionSpending.startsOn', '=', month)
      .execute()
    return rows.map((row) => ({ ...row, spentNanoUsd: BigInt(row.spentNanoUsd) }))
  }

  /** The names of the user's live personal tokens. */
  async listPersonalNames(userId: string): Promise<(string | null)[]> {
    const tokens = await this.#db
      .selectFrom('sessions')
      .select('name')
      .where('userId', '=', userId)
      .where('kind', '=', 'personal')
      .where('revokedAt', 'is', null)
      .where('expiresAt', '>', sql<Date>`now()`)
      .execute()
    return tokens.map(({ name }) => name)
  }

  /** Stores the capability that the session's client declared; writes only a change. */
  async updateElicitsUrls(id: string, elicitsUrls: boolean): Promise<void> {
    await this.#db
      .updateTable('sessions')
      .set({ elicitsUrls })
      .where('id', '=', id)
      .where('elicitsUrls', '<>', elicitsUrls)
      .execute()
  }

  async elicitsUrls(id: string): Promise<boolean> {
    const session = await this.#db
      .selectFrom('sessions')
      .select('elicitsUrls')
      .where('id', '=', id)
      .executeTakeFirst()
    return session?.elicitsUrls ?? false
  }

  /** The user's live connection of a client, the newest if there are several. */
  async findConnection(userId: string, clientId: string): Promise<{ id: string } | undefined> {
    return this.#db
      .selectFrom('sessions')
      .select('id')
      .where('userId', '=', userId)
      .where('clientId', '=', clientId)
      .where('kind', '=', 'connection')
      .where('revokedAt', 'is', null)
      .where('expiresAt', '>', sql<Date>`now()`)
      .orderBy('createdAt', 'desc')
      .limit(1)
      .executeTakeFirst()
  }

  /** The session must be locked as live (authority.ts). */
  async renewConnection(
    id: string,
    approved: Pick<NewSession, 'name' | 'scopes' | 'limitNanoUsd' | 'purses' | 'expiresAt'>,
  ): Promise<void> {
    await this.#db
      .updateTable('sessions')
      .set({ ...approved, expiresAt: byDatabaseClock(approved.expiresAt) })
      .where('id', '=', id)
      .execute()
  }

  /** @param kind the required kind, if any. */
  async isLive(id: string, kind?: SessionKind): Promise<boolean> {
    const session = await this.#db
      .selectFrom('sessions')
      .select('id')
      .where('id', '=', id)
      .$if(kind !== undefined, (query) => query.where('kind', '=', kind as SessionKind))
      .where('revokedAt', 'is', null)
      .where('expiresAt', '>', sql<Date>`now()`)
      .executeTakeFirst()
    return session !== undefined
  }

  /** For the authorization server, which knows the grant but not its user. */
  async revokeConnection(id: string): Promise<void> {
    await this.#db
      .updateTable('sessions')
      .set({ revokedAt: sql<Date>`now()` })
      .where('id', '=', id)
      .where('kind', '=', 'connection')
      .where('revokedAt', 'is', null)
      .execute()
  }

  /** @returns whether this call ended it: of concurrent calls only one does. */
  async revoke(id: string, userId: string): Promise<boolean> {
    const result = await this.#db
      .updateTable('sessions')
      .set({ revokedAt: sql<Date>`now()` })
      .where('id', '=', id)
      .where('userId', '=', userId)
      .where('revokedAt', 'is', null)
      .where('expiresAt', '>', sql<Date>`now()`)
      .executeTakeFirst()
    return result.numUpdatedRows === 1n
  }

  /** @param spared a session to keep. @returns how many live sessions ended. */
  async revokeAll(userId: string, spared?: string): Promise<number> {
    const result = await this.#db
      .updateTable('sessions')
      .set({ revokedAt: sql<Date>`now()` })
      .where('userId', '=', userId)
      .where('revokedAt', 'is', null)
      .where('expiresAt', '>', sql<Date>`now()`)
      .$if(spared !== undefined, (query) => query.where('id', '<>', spared as string))
      .executeTakeFirst()
    return Number(result.numUpdatedRows)
  }

  async countLive(userId: string | null): Promise<number> {
    const { live } = await this.#db
      .selectFrom('sessions')
      .select((select) => select.fn.countAll<string>().as('live'))
      .where('revokedAt', 'is', null)
      .where('expiresAt', '>', sql<Date>`now()`)
      .$if(userId !== null, (query) => query.where('userId', '=', userId as string))
      .executeTakeFirstOrThrow()
    return Number(live)
  }

  /** Sessions are kept for a day after they ended. */
  async deleteEnded(): Promise<void> {
    await this.#db
      .deleteFrom('sessions')
      .where((where) =>
        where.or([
          where('expiresAt', '<', sql<Date>`now() - interval '1 day'`),
          where('revokedAt', '<', sql<Date>`now() - interval '1 day'`),
        ]),
      )
      .execute()
  }

  /** Ends each user's oldest live sessions beyond `mostOfAKind` of one kind. */
  async endExcess(mostOfAKind: number): Promise<void> {
    await sql`
      update sessions set revoked_at = now()
      where id in (
        select id from (
          select id, row_number() over (partition by user_id, kind order by created_at desc, id desc)
            as place
          from sessions
          where revoked_at is null and expires_at > now()
        ) as live
        where place > ${mostOfAKind}
      )`.execute(this.#db)
  }
}

/** Names of the teams whose money the session may spend. */
const PAYING_TEAMS = sql<string[]>`array(
  select t.name from teams t where t.id = any (sessions.purses) order by t.name_key
)`.as('payingTeams')
