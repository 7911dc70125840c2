import { type Insertable, type Kysely, sql } from 'kysely'
import type { InstallationRole, Schema, UsersTable } from '../../database/schema.ts'
import { violatedConstraint } from '../constraints.ts'

export type NewUser = Insertable<UsersTable>

export class UserRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  /** A transaction in which a name was taken can only be rolled back. */
  async insert(user: NewUser): Promise<'inserted' | 'username_taken' | 'email_taken'> {
    try {
      await this.#db.insertInto('users').values(user).execute()
      return 'inserted'
    } catch (error) {
      const outcome = outcomeOf(error)
      if (outcome === undefined) throw error
      return outcome
    }
  }

  /** Which of the two names is already taken; does not reserve them. */
  async findTaken(usernameKey: string, emailKey: string) {
    const rows = await this.#db
      .selectFrom('users')
      .select(['usernameKey', 'emailKey'])
      .where((where) => where.or({ usernameKey, emailKey }))
      .execute()
    return {
      username: rows.some((row) => row.usernameKey === usernameKey),
      email: rows.some((row) => row.emailKey === emailKey),
    }
  }

  async findByUsername(usernameKey: string) {
    return this.#db
      .selectFrom('users')
      .select([
        ...(['id', 'username', 'usernameKey', 'email', 'passwordHash'] as const),
        ...(['createdAt', 'role', 'suspendedAt'] as const),
      ])
      .where('usernameKey', '=', usernameKey)
      .executeTakeFirst()
  }

  async findById(id: string) {
    return this.#db
      .selectFrom('users')
      .select(['id', 'username', 'email'])
      .where('id', '=', id)
      .executeTakeFirst()
  }

  async roleOf(id: string): Promise<InstallationRole> {
    const user = await this.#db
      .selectFrom('users')
      .select('role')
      .where('id', '=', id)
      .executeTakeFirst()
    return user?.role ?? 'member'
  }

  /** Locks the user's role, so that it cannot change before the transaction ends. */
  async holdRole(id: string) {
    return this.#db
      .selectFrom('users')
      .select(['usernameKey', 'role'])
      .where('id', '=', id)
      .forShare()
      .executeTakeFirst()
  }

  async setSuspended(id: string, isSuspended: boolean): Promise<void> {
    const suspendedAt = isSuspended ? sql<Date>`coalesce(suspended_at, now())` : null
    await this.#db.updateTable('users').set({ suspendedAt }).where('id', '=', id).execute()
  }

  /** Users by name, after `afterKey`, with the columns that an operator may see. */
  async list(afterKey: string, limit: number) {
    return this.#db
      .selectFrom('users')
      .select((select) => [
        ...(['id', 'username', 'usernameKey', 'email', 'createdAt'] as const),
        ...(['role', 'suspendedAt'] as const),
        select
          .exists(
            select
              .selectFrom('apiKeys')
              .select('apiKeys.userId')
              .whereRef('apiKeys.userId', '=', 'users.id'),
          )
          .$castTo<boolean>()
          .as('hasKey'),
        select
          .selectFrom('sessions')
          .select((of) => of.fn.max<Date | null>('lastUsedAt').as('at'))
          .whereRef('sessions.userId', '=', 'users.id')
          .as('lastUsedAt'),
      ])
      .where('usernameKey', '>', afterKey)
      .orderBy('usernameKey')
      .limit(limit)
      .execute()
  }

  /** Usernames, by id, of those who have an account. */
  async namesOf(ids: readonly string[]): Promise<Map<string, string>> {
    if (ids.length === 0) return new Map()
    const rows = await this.#db
      .selectFrom('users')
      .select(['id', 'username'])
      .where('id', 'in', ids)
      .execute()
    return new Map(rows.map(({ id, username }) => [id, username]))
  }

  /** The wrapped key of the user's own values. */
  async getDataKey(id: string): Promise<Buffer> {
    const { dataKey } = await this.#db
      .selectFrom('users')
      .select('dataKey')
      .where('id', '=', id)
      .executeTakeFirstOrThrow()
    return dataKey
  }

  async findPasswordHash(id: string): Promise<string | undefined> {
    const user = await this.#db
      .selectFrom('users')
      .select('passwordHash')
      .where('id', '=', id)
      .executeTakeFirst()
    return user?.passwordHash
  }

  /**
   * Locks the user while the password is still the one that was checked, so that it cannot change
   * before the transaction ends.
   *
   * @returns false when it was changed meanwhile.
   */
  async holdPassword(id: string, passwordHash: string): Promise<boolean> {
    const user = await this.#db
      .selectFrom('users')
      .select('id')
      .where('id', '=', id)
      .where('passwordHash', '=', passwordHash)
      .forShare()
      .executeTakeFirst()
    return user !== undefined
  }

  /** What the user may do in the installation. */
  async setRole(id: string, role: InstallationRole): Promise<void> {
    await this.#db.updateTable('users').set({ role }).where('id', '=', id).execute()
  }

  async putPasswordHash(id: string, passwordHash: string): Promise<void> {
    await this.#db.updateTable('users').set({ passwordHash }).where('id', '=', id).execute()
  }

  /** @returns false when the stored hash is no longer the one that was checked. */
  async replacePasswordHash(id: string, checked: string, passwordHash: string): Promise<boolean> {
    const result = await this.#db
      .updateTable('users')
      .set({ passwordHash })
      .where('id', '=', id)
      .where('passwordHash', '=', checked)
      .executeTakeFirst()
    return result.numUpdatedRows === 1n
  }
}

/** The outcome of a violated constraint; undefined for any other error. */
function outcomeOf(error: unknown): 'username_taken' | 'email_taken' | undefined {
  const constraint = violatedConstraint(error)
  if (constraint === 'users_username_unique') return 'username_taken'
  if (constraint === 'users_email_unique') return 'email_taken'
  return undefined
}
