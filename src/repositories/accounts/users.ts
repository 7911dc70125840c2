import type { Insertable, Kysely } from 'kysely'
import type { Schema, UsersTable } from '../../database/schema.ts'
import { AppError } from '../../errors.ts'
import { violatedConstraint } from '../constraints.ts'

export type NewUser = Insertable<UsersTable>

export class UserRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  /** @throws AppError username_taken or email_taken. */
  async insert(user: NewUser): Promise<void> {
    try {
      await this.#db.insertInto('users').values(user).execute()
    } catch (error) {
      throw translateTaken(error)
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
      .select(['id', 'username', 'email', 'passwordHash'])
      .where('usernameKey', '=', usernameKey)
      .executeTakeFirst()
  }

  /** Users by name, after `afterKey`, with the columns that an operator may see. */
  async list(afterKey: string, limit: number) {
    return this.#db
      .selectFrom('users')
      .select((select) => [
        'username',
        'email',
        'createdAt',
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

export const usernameTaken = () =>
  new AppError('username_taken', 'This username is in use. Choose another one.', {
    details: { field: 'username' },
  })

export const emailTaken = () =>
  new AppError('email_taken', 'This email address is in use. Sign in, or use another one.', {
    details: { field: 'email' },
  })

function translateTaken(error: unknown): unknown {
  const constraint = violatedConstraint(error)
  if (constraint === 'users_username_unique') return usernameTaken()
  if (constraint === 'users_email_unique') return emailTaken()
  return error
}
