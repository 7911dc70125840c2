/** What a request was for is deleted while it waits for the rows of it. */

import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { describeDatabases, hasPostgresql } from '../support/databases.ts'
import { lockWaiters } from '../support/lock-waiters.ts'
import { startApp, type TestApp } from '../support/start-app.ts'

describe.runIf(hasPostgresql)('an account that is deleted', () => {
  let app: TestApp
  beforeAll(async () => {
    app = await startApp({ kind: 'postgresql' })
  })
  afterAll(() => app.close())

  const CALLS: Record<string, Record<string, unknown>> = {
    send_message: { message: 'too late' },
    set_budget: { period: 'day', limit_usd: 1 },
  }

  test.each(Object.entries(CALLS))('%s finds nothing', async (tool, args) => {
    const user = await app.register()
    const client = await app.connect('legacy', user.accessToken)
    let calls: Promise<{ structured: { error?: { code: string } } }>[] = []
    await app.app.db.transaction().execute(async (tx) => {
      await sql`select from sessions where user_id = ${user.userId} for update`.execute(tx)
      await sql`select from users where id = ${user.userId} for update`.execute(tx)
      calls = [1, 2, 3].map(() => client.call(tool, args).catch(asStructured))
      await expect
        .poll(() => lockWaiters(app.app.db), { timeout: 5_000 })
        .toBeGreaterThan(0)
        .catch(() => {})
      await sql`delete from users where id = ${user.userId}`.execute(tx)
    })
    for (const { structured } of await Promise.all(calls)) {
      // Those that came to their check of the session only now have none.
      expect(['not_found', 'unauthenticated']).toContain(structured.error?.code)
    }
  })
})

/** One that comes to the check of its session after the end of it is a 401, which clients throw. */
const asStructured = ({ message }: Error) => ({
  structured: { error: { code: message.includes('was revoked') ? 'unauthenticated' : message } },
})

describeDatabases('accounts that are deleted while they send', (kind) => {
  test('are gone, or have their answer, and nothing is a fault', async () => {
    const app = await startApp({ kind })
    const outcomes = await Promise.all(
      Array.from({ length: 6 }, async () => {
        const user = await app.register()
        const client = await app.connect('legacy', user.accessToken)
        const send = async (message: string) => {
          const { structured } = await client.call('send_message', { message })
          return structured.error?.code ?? structured.data.status
        }
        // One that comes to the check of its session after the end of it is a 401, which clients throw.
        const sends = Array.from({ length: 5 }, (_, i) =>
          send(`racing ${i}`).catch((error: Error) =>
            error.message.includes('was revoked') ? 'unauthenticated' : error,
          ),
        )
        await sql`delete from users where id = ${user.userId}`.execute(app.app.db)
        return Promise.all(sends)
      }),
    )
    await app.close()
    const honest = ['complete', 'not_found', 'unauthenticated', 'interrupted']
    expect(outcomes.flat().filter((outcome) => !honest.includes(outcome))).toEqual([])
  })
})
