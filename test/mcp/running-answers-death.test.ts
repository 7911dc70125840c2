/** A process that dies, or is stopped, while it generates answers, beside a replica that lives. */

import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { connectClient } from '../support/clients.ts'
import { runSql } from '../support/database-supplies.ts'
import { hasPostgresql } from '../support/databases.ts'
import { startGatewayProcess } from '../support/gateway-process.ts'
import { startApp, type TestApp, type TestClient } from '../support/start-app.ts'

/** In base64, for the process and for the replica alike. */
const ENCRYPTION_KEY = randomBytes(32).toString('base64')
/** About twenty seconds at the stand-in's pace. */
const longText = (name: string) => `${name} ${'word '.repeat(400)}`.trim()

const LONG = { timeout: 90_000 }

// Both at once: they mostly wait.
describe.runIf(hasPostgresql).concurrent('an answer whose process ends', () => {
  let survivor: TestApp

  beforeAll(async () => {
    const claude = { chunkDelayMs: 40, chunkSize: 4 }
    survivor = await startApp({ kind: 'postgresql', claude, env: { ENCRYPTION_KEY } })
  })
  afterAll(() => survivor?.close())

  const sql = (text: string) => runSql(survivor.databaseUrl as string, text)

  /** A user with a line to the survivor and one to a process that is to end. */
  async function startOther(graceSeconds: number) {
    const user = await survivor.register()
    const { process, url, stop } = await startGatewayProcess({
      DATABASE_URL: survivor.databaseUrl as string,
      ENCRYPTION_KEY,
      ANTHROPIC_BASE_URL: survivor.claude.url,
      // Tokens name the gateway that issued them.
      PUBLIC_URL: survivor.config.http.publicUrl,
      SHUTDOWN_GRACE_SECONDS: String(graceSeconds),
    })
    const here = await survivor.connect('modern', user.accessToken)
    const there = await connectClient('legacy', `${url}/mcp`, user.accessToken)
    const start = async (args: Record<string, unknown>): Promise<Ids> =>
      (await there.call('send_message', { ...args, wait_seconds: 0 })).structured.data
    return { process, stop, start, here, there }
  }

  const get = async (here: TestClient, { message_id }: Ids, wait_seconds = 0) =>
    (await here.call('get_message', { message_id, wait_seconds })).structured.data

  const ledgerOf = ({ message_id }: Ids) =>
    sql(
      `select estimated, input_tokens > 0 as has_input, output_tokens > 0 as has_output
       from ledger where message_id = '${message_id}'`,
    )

  async function expectFree(here: TestClient, { conversation_id }: Ids) {
    const next = await here.call('send_message', { message: 'go on', conversation_id })
    expect(next.structured.data).toMatchObject({ status: 'complete', history: { sent: 0 } })
  }

  test('killed: closed by the other within 30 s', LONG, async () => {
    const { process, start, here, there } = await startOther(0)
    const args = { message: longText('killed'), idempotency_key: 'killed' }
    const [killed, broken] = await Promise.all([start(args), start({ message: longText('bad') })])
    await expect.poll(async () => (await get(here, killed)).content, { interval: 100 }).not.toBe('')
    process.kill('SIGKILL')
    await once(process, 'exit')
    const { conversation_id } = killed
    const busy = await here.call('send_message', { message: 'too early', conversation_id })
    expect(busy.structured.error.code).toBe('conversation_busy')
    // One that cannot be opened keeps no other from being closed.
    await sql(`update messages set content = '\\x00', lease_expires_at = now() - interval '1 hour'
      where id = '${broken.message_id}'`)

    const closed = await get(here, killed, 30)
    expect(closed).toMatchObject({ status: 'interrupted', error_code: 'interrupted' })
    expect(closed.content).not.toBe('')
    expect(args.message.startsWith(closed.content)).toBe(true)
    expect(await ledgerOf(killed)).toEqual([
      { estimated: 'process_died', has_input: true, has_output: true },
    ])
    await expectFree(here, killed)
    // Only the broken one still holds what it reserved.
    expect(
      await sql(`select reserved_tokens::int as tokens from spending join messages m using (user_id)
        where period = 'day' and m.id = '${killed.message_id}'`),
    ).toEqual(
      await sql(`select (reservation->>'tokens')::int as tokens from messages
        where id = '${broken.message_id}'`),
    )

    const repeated = await here.call('send_message', args)
    expect(repeated.structured.error).toMatchObject({
      code: 'interrupted',
      retryable: false,
      details: { message_id: killed.message_id },
    })
    const asked = survivor.claude.messageRequests()
    expect(asked.filter(({ body }) => body.includes('killed'))).toHaveLength(1)
    await there.close()
  })

  test('SIGTERM: what ends within the grace is complete, the rest interrupted', LONG, async () => {
    const { stop, start, here, there } = await startOther(6)
    const message = 'short '.repeat(20).trim()
    const [short, long] = await Promise.all([
      start({ message }),
      start({ message: longText('stopped') }),
    ])
    expect(await stop()).toBe(0)

    expect(await get(here, short)).toMatchObject({ status: 'complete', content: message })
    const stopped = await get(here, long)
    expect(stopped).toMatchObject({ status: 'interrupted', error_code: 'interrupted' })
    expect(stopped.content).toMatch(/^stopped word/)
    expect(await ledgerOf(long)).toEqual([
      { estimated: 'stream_cancelled', has_input: true, has_output: true },
    ])
    const { budgets } = (await here.call('get_budget')).structured.data
    for (const { reserved_tokens } of budgets) expect(reserved_tokens).toBe(0)
    await expectFree(here, long)
    await there.close()
  })
})

type Ids = { message_id: string; conversation_id: string }
