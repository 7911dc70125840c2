/**
 * The stored form of a receipt is shared by builds that run side by side. What an older one stored
 * is read here as it was; what this one stores can be read by an older one.
 */

import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { z } from 'zod'
import { answer } from '../../src/mcp/tools/answer.ts'
import { describeDatabases } from '../support/databases.ts'
import { startApp, type TestApp, type TestClient } from '../support/start-app.ts'

const TEXT = 'The stored answer.'
const QUESTION = { message: 'Hello.', idempotency_key: 'stored' }

/** The fields that are the same in every version. */
const fieldsOf = (conversation_id: string, message_id: string) => ({
  conversation_id,
  message_id,
  status: 'complete',
  model: 'claude-sonnet-5-5',
  usage: {
    input_tokens: 1211,
    output_tokens: 7,
    cache_read_input_tokens: 3,
    cache_creation_input_tokens: 1205,
  },
  cost_usd: 0.0030966,
  stop_reason: 'end_turn',
  truncated: false,
  refused: false,
  refusal_category: null,
  request_id: 'req_0123',
  history: { sent: 4, omitted: 2 },
  warnings: ['A warning of that time.'],
})
const USED = { budget_used: { day: 80 } }

/** What a result has besides, in the order in which such rows have always been shown. */
const ORDER =
  'model usage status history refused cost_usd warnings truncated message_id request_id stop_reason conversation_id refusal_category stop_sequence sender paid_by content'.split(
    ' ',
  )

describeDatabases('the stored receipt', (kind) => {
  let app: TestApp
  let client: TestClient
  /** Read from the columns of the message. */
  let payment: { sender: string; paid_by: { kind: 'own'; key_last_four: string } }
  let ids: { conversation_id: string; message_id: string }
  beforeAll(async () => {
    app = await startApp({ kind })
    const { accessToken, username, apiKey } = await app.register()
    payment = { sender: username, paid_by: { kind: 'own', key_last_four: apiKey.slice(-4) } }
    client = await app.connect('modern', accessToken)
    app.claude.setReply({ text: TEXT })
    ids = (await client.call('send_message', QUESTION)).structured.data
  })
  afterAll(() => app.close())

  const stored = async () => {
    const { rows } = await sql<{ result: Record<string, unknown> }>`
      select result from messages where id = ${ids.message_id}::uuid`.execute(app.app.db)
    return rows[0]?.result ?? {}
  }
  const store = (result: Record<string, unknown>) =>
    sql`
    update messages set result = ${JSON.stringify(result)}::text::jsonb
    where id = ${ids.message_id}::uuid`.execute(app.app.db)

  test('of this build has its version, and all fields under their old names', async () => {
    const result = await stored()
    expect(result.content).toEqual({ v: 2 })
    const { content: _, ...fields } = result
    const old = fieldsOf(ids.conversation_id, ids.message_id)
    expect(Object.keys(fields).sort()).toEqual(Object.keys(old).sort())
    const { conversation_id, message_id } = ids
    expect(fields).toMatchObject({ conversation_id, message_id, cost_usd: expect.any(Number) })
  })

  test('of this build is a complete result to an older one', async () => {
    // As builds before versions read it: every field is handed on, and these are overwritten.
    const { budget_used: _, ...receipt } = { ...(await stored()), ...USED }
    const shown = { ...receipt, ...payment, stop_sequence: null, content: TEXT, error_code: null }
    const declared = z.strictObject({ ...answer, error_code: z.null() })
    const { data } = (await client.call('get_message', { message_id: ids.message_id })).structured
    expect(declared.parse(shown)).toEqual(data)
  })

  test.each([
    ['an older build', {}],
    ['this build', { content: { v: 2 } }],
    ['a newer build', { content: { v: 3, more: 1 }, unknown_here: true }],
  ])('of %s is shown byte for byte, and replayed', async (_, version) => {
    const fields = fieldsOf(ids.conversation_id, ids.message_id)
    await store({ ...fields, ...version, ...USED })
    const warnings = [...fields.warnings, expect.stringContaining('80 %')]
    const shown = { ...fields, ...payment, warnings, stop_sequence: null, content: TEXT }

    const got = await client.call('get_message', { message_id: ids.message_id })
    expect(got.structured.data).toEqual({ ...shown, error_code: null })
    expect(Object.keys(JSON.parse(got.text).data)).toEqual([...ORDER, 'error_code'])

    const again = await client.call('send_message', QUESTION)
    expect(again.structured.data).toEqual({ ...shown, replayed: true })
    expect(Object.keys(JSON.parse(again.text).data)).toEqual([...ORDER, 'replayed'])
  })

  test('keeps an unknown price unknown, and the smallest one exact', async () => {
    for (const cost_usd of [null, 0, 1e-9, 0.1, 12345.678900001]) {
      await store({ ...fieldsOf(ids.conversation_id, ids.message_id), cost_usd })
      const { data } = (await client.call('get_message', { message_id: ids.message_id })).structured
      expect(data.cost_usd).toBe(cost_usd)
    }
  })
})
