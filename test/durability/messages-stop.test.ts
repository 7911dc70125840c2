/**
 * A gateway that stops, or is killed, while answers of the Messages API pass through it: what the
 * client sees, and that every call is booked, once, with nothing held for it any more.
 */

import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { sql } from 'kysely'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openDatabase } from '../../src/database/open.ts'
import { createRepositories } from '../../src/repositories/index.ts'
import { END, messagesBody, START, STREAM_HEADERS, TEXT } from '../support/api-exchange.ts'
import { type ApiUser, apiUser } from '../support/api-user.ts'
import { runSql } from '../support/database-supplies.ts'
import {
  describeDatabases,
  type FreshDatabase,
  freshDatabaseOptions,
} from '../support/databases.ts'
import { type GatewayProcess, startGatewayProcess } from '../support/gateway-process.ts'
import { openRequest } from '../support/raw-request.ts'
import { startScriptedOrigin } from '../support/scripted-origin.ts'
import { startApp } from '../support/start-app.ts'

const ENCRYPTION_KEY = randomBytes(32).toString('base64')

describeDatabases('answers that pass through a gateway', (kind) => {
  let origin: Awaited<ReturnType<typeof startScriptedOrigin>>
  let fresh: FreshDatabase
  let user: ApiUser
  let gateway: GatewayProcess | undefined
  beforeEach(async () => {
    origin = await startScriptedOrigin()
    fresh = await freshDatabaseOptions(kind)
    const env = { ENCRYPTION_KEY, VALIDATE_API_KEYS: 'false' }
    const app = await startApp({ kind, database: fresh, env })
    user = await apiUser(app)
    await app.close()
  })
  afterEach(async () => {
    gateway?.process.kill('SIGKILL')
    await fresh.drop()
    await origin.close()
  })

  async function start(graceSeconds: number): Promise<GatewayProcess> {
    gateway = await startGatewayProcess({
      ENCRYPTION_KEY,
      DATA_DIR: fresh.dataDir,
      ...(fresh.url === undefined ? {} : { DATABASE_URL: fresh.url }),
      ANTHROPIC_BASE_URL: origin.url,
      LOG_LEVEL: 'info',
      SHUTDOWN_GRACE_SECONDS: String(graceSeconds),
    })
    return gateway
  }

  /** A stream that has come as far as its first text; `upstream`: where it goes on. */
  async function begin({ url }: GatewayProcess) {
    let upstream: ServerResponse | undefined
    origin.script((res) => {
      upstream = res
      res.writeHead(200, STREAM_HEADERS)
      res.write(START + TEXT)
    })
    const answer = await openRequest(url, {
      path: '/v1/messages',
      headers: { 'x-api-key': user.token },
      body: messagesBody({ stream: true }),
    })
    let text = ''
    answer
      .on('error', () => {})
      .on('data', (chunk: Buffer) => {
        text += chunk
      })
    await expect.poll(() => text, { timeout: 20_000 }).toBe(START + TEXT)
    return { answer, upstream: upstream as unknown as ServerResponse, text: () => text }
  }

  const ended = (answer: IncomingMessage) =>
    new Promise<void>((resolve) => {
      if (answer.closed) resolve()
      else answer.once('close', resolve)
    })

  /** The user's lines in the ledger, which has to add up, with nothing held or open. */
  async function booked() {
    const database = await openDatabase(fresh)
    try {
      const { db } = database
      const held = sql<{ count: string }>`
        select (select count(*) from spending where reserved_nano_usd <> 0 or reserved_tokens <> 0)
          + (select count(*) from calls) as count`
      expect((await held.execute(db)).rows).toEqual([{ count: expect.anything() }])
      expect(Number((await held.execute(db)).rows[0]?.count)).toBe(0)
      expect(await createRepositories(db).ledgerAudit.listDrift()).toEqual([])
      return await db.selectFrom('ledger').selectAll().where('userId', '=', user.userId).execute()
    } finally {
      await database.close()
    }
  }

  test('goes on to its end within the grace period of a stop', async () => {
    const stopping = await start(60)
    const { answer, upstream, text } = await begin(stopping)
    const log: string[] = []
    stopping.process.stdout?.on('data', (chunk) => log.push(String(chunk)))
    const exit = stopping.stop()
    await expect.poll(() => log.join(''), { timeout: 20_000 }).toContain('"msg":"stopping"')
    upstream.end(END)
    await ended(answer)
    expect(text()).toBe(START + TEXT + END)
    expect(await exit).toBe(0)
    expect(await booked()).toMatchObject([
      { inputTokens: 10, outputTokens: 90, status: 'complete', estimated: null },
    ])
  })

  test('is told the end when it takes longer, and what was written is booked', async () => {
    const stopping = await start(1)
    const { answer, upstream, text } = await begin(stopping)
    const closed = once(upstream, 'close')
    expect(await stopping.stop()).toBe(0)
    await closed
    await ended(answer)
    expect(text()).toMatch(
      /event: error\ndata: \{"type":"error","error":\{"type":"api_error".*\n\n$/,
    )
    expect(await booked()).toMatchObject([
      { inputTokens: 10, status: 'interrupted', estimated: 'stream_broken' },
    ])
  })

  test('that is killed is broken off; the next to run closes it, at the most it may have cost', async () => {
    const killed = await start(1)
    const { answer } = await begin(killed)
    const exit = once(killed.process, 'exit')
    killed.process.kill('SIGKILL')
    await exit
    await ended(answer)
    expect(answer.complete).toBe(false)
    const next = await start(1)
    if (fresh.url !== undefined) {
      // As if ten seconds had gone by: a dead process cannot be told from a slow one before that.
      const past = `update calls set lease_expires_at = lease_expires_at - interval '10 s'`
      await runSql(fresh.url, past)
      const open = async () => (await runSql(fresh.url as string, 'select 1 from calls')).length
      await expect.poll(open, { timeout: 60_000, interval: 250 }).toBe(0)
    }
    expect(await next.stop()).toBe(0)
    const [line, ...others] = await booked()
    expect(others).toEqual([])
    expect(line).toMatchObject({ status: 'interrupted', estimated: 'process_died' })
    expect(Number(line?.costNanoUsd)).toBeGreaterThan(0)
  })
})
