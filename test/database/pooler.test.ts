/** PgBouncer in front of the server: its session mode serves, the others are refused at the start. */

import { describe, expect, onTestFinished, test } from 'vitest'
import { openDatabase } from '../../src/database/open.ts'
import { databaseKinds, freshDatabaseOptions } from '../support/databases.ts'
import { hasPgbouncer, startPgbouncer } from '../support/pgbouncer.ts'
import { startApp } from '../support/start-app.ts'

const canRun = hasPgbouncer && databaseKinds.includes('postgresql')
if (!hasPgbouncer) process.stdout.write('poolers are left out: pgbouncer is not installed\n')

describe.runIf(canRun)('behind a pooler', () => {
  async function pooled(mode: 'session' | 'transaction' | 'statement', settings: string[] = []) {
    const fresh = await freshDatabaseOptions('postgresql')
    const pooler = await startPgbouncer(fresh.url as string, mode, settings)
    onTestFinished(async () => {
      await pooler.close()
      await fresh.drop()
    })
    return { ...fresh, url: pooler.url }
  }

  test.each([
    ['transaction', []],
    // Takes the servers' sessions in turn instead of the last one first.
    ['transaction', ['server_round_robin = 1', 'min_pool_size = 5']],
    ['statement', []],
  ] as const)('that shares sessions (%s) the start says what to change', async (mode, settings) => {
    const options = await pooled(mode, [...settings])
    const error = await openDatabase(options).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({
      code: 'database_unavailable',
      retryable: false,
      message: expect.stringMatching(/transaction.*pool_mode=session/),
    })
  })

  test('that gives each its own the gateway serves', async () => {
    const options = await pooled('session')
    const app = await startApp({ kind: 'postgresql', database: options })
    onTestFinished(() => app.close())
    const client = await app.connect('legacy', (await app.register()).accessToken)
    const sends = Array.from({ length: 12 }, (_, index) =>
      client.call('send_message', { message: `hello ${index}` }),
    )
    for (const { structured } of await Promise.all(sends)) {
      expect(structured.data).toMatchObject({ status: 'complete' })
    }
  })
})
