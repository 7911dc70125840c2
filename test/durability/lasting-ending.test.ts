/** The end of an answer that the database refuses, for a reason of its own or of the answer's. */

import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { describeDatabases } from '../support/databases.ts'
import { startApp, type TestApp, type TestClient } from '../support/start-app.ts'

describeDatabases('an answer whose end the database refuses', (kind) => {
  let app: TestApp
  let client: TestClient

  beforeAll(async () => {
    app = await startApp({ kind })
    client = await app.connect('legacy', (await app.register()).accessToken)
  })
  afterAll(() => app.close())

  const run = (text: string) => sql.raw(text).execute(app.app.db)

  /** Raises in the statement that ends an answer, so many times, as a sequence counts them. */
  const refuse = (state: string, times: number, when = 'true') =>
    run(`drop sequence if exists refusals; create sequence refusals;
      create or replace function refuse() returns trigger language plpgsql as $$ begin
        if nextval('refusals') <= ${times} then raise exception using errcode = '${state}'; end if;
        return new;
      end $$;
      create or replace trigger refuse before update on messages for each row
        when (old.status = 'running' and new.status <> 'running' and new.role = 'assistant' and ${when})
        execute function refuse()`)

  /** What a caller gets, who may first be told to ask later. */
  const answerTo = async (message: string, tag: string) => {
    const { structured } = await client.call('send_message', { message, tag })
    if (structured.data) return structured.data
    expect(structured.error).toMatchObject({ code: 'database_unavailable', retryable: true })
    const { message_id } = structured.error.details
    const get = async () =>
      (await client.call('get_message', { message_id, wait_seconds: 10 })).structured.data
    await expect.poll(async () => (await get()).status).not.toBe('running')
    return get()
  }
  const bookedFor = async (tag: string) => {
    const usage = await client.call('get_usage', { group_by: 'tag' })
    return usage.structured.data.rows.find(({ key }: { key: string }) => key === tag)
  }
  const reservedTokens = async () =>
    (await client.call('get_budget')).structured.data.budgets[0].reserved_tokens

  // Deadlocks and conflicts more often than a statement is repeated by itself, which those of the
  // embedded database are not; full disks, a server that only reads, a stop of the server, and faults.
  const conflicts = kind === 'embedded' ? 2 : 12
  test.each([
    ...[['40P01', conflicts] as const, ['40001', conflicts] as const, ['53100', 2] as const],
    ...[['25006', 2] as const, ['57P03', 2] as const, ['55P03', 2] as const],
    ...[['57014', 2] as const, ['XX000', 1] as const, ['22P02', 1] as const],
  ])('with %s is stored when it no longer does', async (state, times) => {
    await refuse(state, times)
    const answer = await answerTo(`refused with ${state}`, state)
    expect(answer).toMatchObject({ status: 'complete', content: `refused with ${state}` })
    expect(answer.request_id).toMatch(/^req_/)
    expect(await bookedFor(state)).toMatchObject({ calls: 1, estimated_calls: 0 })
    expect(await reservedTokens()).toBe(0)
  })

  test('for something in it is stored without that', async () => {
    await refuse('23514', 1_000_000, 'new.request_id is not null')
    const answer = await answerTo('a poisoned end', 'poison')
    expect(answer).toMatchObject({ status: 'complete', content: 'a poisoned end' })
    expect(await bookedFor('poison')).toMatchObject({ calls: 1, estimated_calls: 0 })
    expect(await reservedTokens()).toBe(0)
    expect(app.logLines.some((line) => line.includes('an answer could not be stored'))).toBe(true)
  })

  test('for its text settles what it cost', async () => {
    await refuse('23514', 1_000_000, 'new.content is not null')
    const answer = await answerTo('a poisoned text', 'text')
    expect(answer).toMatchObject({ status: 'failed', content: '' })
    expect(await bookedFor('text')).toMatchObject({ calls: 1 })
    expect(await reservedTokens()).toBe(0)
    await run('drop trigger refuse on messages')
  })
})
