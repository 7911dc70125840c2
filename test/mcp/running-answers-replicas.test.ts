/**
 * Answers followed, joined and stopped from another replica: with LISTEN and NOTIFY, and where
 * notifications get lost, as behind a pooler in transaction mode.
 */

import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { runSql } from '../support/database-supplies.ts'
import { hasPostgresql } from '../support/databases.ts'
import { startApp, type TestApp, type TestClient, type TestUser } from '../support/start-app.ts'
import { postCall } from './raw-call.ts'
import { startSecondReplica } from './second-replica.ts'

/** Shadows PostgreSQL's own in a database whose search path has it first: nothing is sent. */
const LOSE_NOTIFICATIONS = `
  create function public.pg_notify(channel text, payload text) returns void
    language plpgsql as $$ begin end $$;
  do $$ begin
    execute format('alter database %I set search_path = public, pg_catalog', current_database());
  end $$`

/** When and how long the text of running answers is saved. */
const LOG_CHECKPOINTS = `
  create table checkpoint_log (message_id uuid, at timestamptz, content bytea);
  create function log_checkpoint() returns trigger language plpgsql as $$ begin
    insert into checkpoint_log values (new.id, clock_timestamp(), new.content); return new; end $$;
  create trigger log_checkpoint after update on messages for each row
    when (new.status = 'running' and new.content is distinct from old.content)
    execute function log_checkpoint()`

/** About six seconds at the stand-in's pace: long enough for two checkpoints. */
const slowText = (name: string) => `${name} ${'word '.repeat(120)}`.trim()
const CLAUDE = { chunkDelayMs: 40, chunkSize: 4 }

const modes = ['NOTIFY', 'polling alone'] as const

// All at once: they mostly wait. Each knows its own calls by its own text.
describe.runIf(hasPostgresql).concurrent.each(modes)('two replicas, %s', (mode) => {
  let first: TestApp
  let second: Awaited<ReturnType<typeof startSecondReplica>>
  let user: TestUser
  let here: TestClient
  let there: TestClient

  beforeAll(async () => {
    first = await startApp({ kind: 'postgresql', claude: CLAUDE })
    const url = first.databaseUrl as string
    await runSql(url, LOG_CHECKPOINTS)
    if (mode === 'polling alone') {
      await runSql(url, LOSE_NOTIFICATIONS)
      // Connections that were opened before the change keep what they began with.
      await runSql(
        url,
        `select pg_terminate_backend(pid) from pg_stat_activity
         where datname = current_database() and pid <> pg_backend_pid()`,
      )
    }
    second = await startSecondReplica(first)
    user = await first.register()
    here = await first.connect('legacy', user.accessToken)
    there = await second.connect('modern', user.accessToken)
  })
  afterAll(async () => {
    await second?.close()
    await first.close()
  })

  const sql = (text: string) => runSql(first.databaseUrl as string, text)

  const askedFor = (text: string) =>
    first.claude.messageRequests().filter(({ body }) => body.includes(text)).length

  async function sendHere(message: string, args: Record<string, unknown> = {}): Promise<string> {
    const sent = await here.call('send_message', { message, wait_seconds: 0, ...args })
    expect(sent.structured.data.status).toBe('running')
    return sent.structured.data.message_id
  }

  const getThere = async (message_id: string, wait_seconds = 0) =>
    (await there.call('get_message', { message_id, wait_seconds })).structured.data

  /** The text so far, as soon as the other replica shows any. */
  async function untilTextThere(message_id: string): Promise<string> {
    const read = async () => (await getThere(message_id)).content
    await expect.poll(read, { interval: 100 }).not.toBe('')
    return read()
  }

  test('the notifications are what the mode says', async () => {
    const listener = new Client({ connectionString: first.databaseUrl })
    await listener.connect()
    const payloads: (string | undefined)[] = []
    listener.on('notification', ({ payload }) => payloads.push(payload))
    await listener.query('listen claude_api_gateway_answers')
    const sent = await here.call('send_message', { message: 'short' })
    const finished = `finished ${sent.structured.data.message_id}`
    if (mode === 'NOTIFY') await expect.poll(() => payloads).toContain(finished)
    await first.app.services.notices.flush()
    // What was sent before is heard with the next result at the latest.
    await listener.query('select 1')
    await listener.end()
    expect(payloads).toEqual(mode === 'NOTIFY' ? [finished] : [])
  })

  test('get_message shows the text so far, then the finished message', async () => {
    const message = slowText('follow')
    const message_id = await sendHere(message)
    const soFar = await untilTextThere(message_id)
    expect(message.startsWith(soFar)).toBe(true)
    expect(soFar.length).toBeLessThan(message.length)
    const ended = await there.call('get_message', { message_id, wait_seconds: 60 })
    expect(ended.structured.data).toMatchObject({ status: 'complete', content: message })
    expect(await getThere(message_id)).toEqual(
      (await here.call('get_message', { message_id })).structured.data,
    )
  })

  test('wait_seconds of get_message running out there does nothing to the answer', async () => {
    const message_id = await sendHere(slowText('wait'))
    expect((await getThere(message_id, 0.2)).status).toBe('running')
    expect(await getThere(message_id, 60)).toMatchObject({ status: 'complete' })
  })

  test('the text so far is saved sealed, at most every two seconds', async () => {
    const message_id = await sendHere(slowText('sealed'))
    expect(await getThere(message_id, 60)).toMatchObject({ status: 'complete' })
    const rows = await sql(
      `select content, extract(epoch from at - lag(at) over (order by at))::float as gap
       from checkpoint_log where message_id = '${message_id}' order by at`,
    )
    expect(rows.length).toBeGreaterThan(1)
    for (const { gap } of rows.slice(1)) expect(gap).toBeGreaterThan(1.9)
    for (const { content } of rows) expect(String(content)).not.toContain('word')
  })

  test('cancel_message stops it there: partial text kept, upstream left, booked', async () => {
    const message_id = await sendHere(slowText('stop'), { tag: 'stopped' })
    const soFar = await untilTextThere(message_id)
    // What renews leases also looks for cancellations: without it only a notification is left.
    if (mode === 'NOTIFY') await first.app.services.upkeep.stop()
    const { structured } = await there.call('cancel_message', { message_id })
    if (mode === 'NOTIFY') await first.app.services.upkeep.start()
    expect(structured.data).toMatchObject({ status: 'cancelled', error_code: 'cancelled' })
    expect(structured.data.content.startsWith(soFar)).toBe(true)
    await expect.poll(() => first.claude.abortedStreams()).toBe(1)
    const usage = await there.call('get_usage', { group_by: 'tag' })
    const stopped = usage.structured.data.rows.find(({ key }: { key: string }) => key === 'stopped')
    expect(stopped).toMatchObject({ calls: 1, estimated_calls: 1 })
    const again = await there.call('cancel_message', { message_id })
    expect(again.structured.data).toEqual(structured.data)
  })

  test('a repeat with the key there joins, with its progress, and later is replayed', async () => {
    const message = slowText('join')
    const args = { message, idempotency_key: 'join' }
    const progress: number[] = []
    const [original, joined] = await Promise.all([
      here.call('send_message', args),
      expect
        .poll(() => askedFor(message))
        .toBe(1)
        .then(() =>
          there.call('send_message', args, { onprogress: (said) => progress.push(said.progress) }),
        ),
    ])
    const { replayed, ...answer } = original.structured.data
    expect(replayed).toBe(false)
    expect(joined.structured.data).toEqual({ ...answer, replayed: true })
    expect(progress.length).toBeGreaterThan(0)
    const repeated = await there.call('send_message', args)
    expect(repeated.structured.data).toEqual({ ...answer, replayed: true })
    expect(askedFor(message)).toBe(1)
  })

  test('with other arguments the key is a conflict there too', async () => {
    const args = { message: 'one', idempotency_key: 'conflict' }
    await here.call('send_message', args)
    const other = await there.call('send_message', { ...args, message: 'two' })
    expect(other.structured.error.code).toBe('idempotency_conflict')
  })

  test('a stream lost here and repeated there pays once', async () => {
    // Longer than the ten seconds that the answer waits for its caller to come back.
    const message = 'lost '.repeat(280).trim()
    const args = { message, idempotency_key: 'lost' }
    const connection = new AbortController()
    const lost = postCall(first.url, 'modern', 'send_message', args, {
      headers: { Authorization: `Bearer ${user.accessToken}` },
      signal: connection.signal,
    }).then((response) => response.text())
    await expect.poll(() => askedFor(message)).toBe(1)
    connection.abort()
    await expect(lost).rejects.toThrow()
    const repeated = await there.call('send_message', args, { timeout: 55_000 })
    expect(repeated.structured.data).toMatchObject({ content: message, replayed: true })
    expect(askedFor(message)).toBe(1)
  })
})
