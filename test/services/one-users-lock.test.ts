/**
 * Somebody holds the lock of one user's row, for as long as they like. The others, who share
 * statements with that user, go on meanwhile: everything below is done before the lock is let go.
 */

import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { hasPostgresql } from '../support/databases.ts'
import { startApp, type TestApp, type TestClient, type TestUser } from '../support/start-app.ts'

const OTHERS = 20
/** Below the pool's ten connections many times over. */
const HELD_UP_CALLS = 30

type Person = TestUser & { client: TestClient }

/** Of the user's rows, which one is locked. */
const ROWS: Record<string, (user: TestUser) => ReturnType<typeof sql>> = {
  spending: ({ userId }) => sql`select from spending where user_id = ${userId} for update`,
  users: ({ userId }) => sql`select from users where id = ${userId} for update`,
  rate_limits: ({ userId }) =>
    sql`select from rate_limits where key = ${`requests:user:${userId}`} for update`,
  sessions: ({ userId }) => sql`select from sessions where user_id = ${userId} for update`,
  conversations: ({ userId }) =>
    sql`select from conversations where user_id = ${userId} for update`,
  'running messages': ({ userId }) =>
    sql`select from messages where user_id = ${userId} for update`,
}

describe.runIf(hasPostgresql)("while one user's row is locked", () => {
  let app: TestApp
  let held: Person
  let others: Person[]

  beforeAll(async () => {
    app = await startApp({ kind: 'postgresql' })
    const person = async (): Promise<Person> => {
      const user = await app.register()
      const client = await app.connect('legacy', user.accessToken)
      // What is locked below has to be there.
      await client.call('send_message', { message: 'before' })
      return { ...user, client }
    }
    held = await person()
    others = []
    for (let i = 0; i < OTHERS; i++) others.push(await person())
  })
  afterAll(() => app.close())

  const send = async ({ client }: Person, message: string, args = {}) =>
    (await client.call('send_message', { message, ...args })).structured

  test.each(Object.keys(ROWS))('%s: all others are served', async (name) => {
    const { db } = app.app
    let waiting: Promise<unknown>[] = []
    await db.transaction().execute(async (tx) => {
      await ROWS[name]?.(held).execute(tx)
      // More than there are connections, and again and again while the others send.
      waiting = Array.from({ length: HELD_UP_CALLS }, (_, i) => send(held, `held up ${i}`))
      for (let round = 0; round < 3; round++) {
        const answers = await Promise.all(others.map((one) => send(one, `${name} ${round}`)))
        expect(answers.map(({ data }) => data?.status)).toEqual(others.map(() => 'complete'))
        const pages = await Promise.all(
          others.map(({ client }) => client.call('get_conversations', { limit: 1 })),
        )
        expect(pages.every(({ isError }) => !isError)).toBe(true)
      }
    })
    // And those who waited are served, or told to come again; never that it is a fault.
    for (const outcome of (await Promise.all(waiting)) as Awaited<ReturnType<typeof send>>[]) {
      const { data, error } = outcome
      if (data) expect(data.status).toBe('complete')
      else expect(error).toMatchObject({ code: 'database_unavailable', retryable: true })
    }
    expect((await send(held, 'after')).data).toMatchObject({ status: 'complete' })
  })
})
