/** One send at a time in a conversation, and one call to Claude for one idempotency key. */

import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import type { Answer } from '../../support/clients.ts'
import { describeDatabases, hasPostgresql } from '../../support/databases.ts'
import { PATIENCE } from '../../support/patience.ts'
import { startApp, type TestApp, type TestClient, type TestUser } from '../../support/start-app.ts'
import { startSecondReplica } from '../second-replica.ts'

const STALL = { kind: 'stream_stall' as const, afterChunks: 1 }

let app: TestApp
let user: TestUser
let client: TestClient

const send = (args: Record<string, unknown> = {}, by = client) =>
  by.call('send_message', { message: 'Hello.', ...args })
const calls = () => app.claude.messageRequests().length
const outcomeOf = ({ structured: { data, error } }: Answer) =>
  error?.code ?? (data.replayed ? 'replayed' : 'answered')

/** A send that hangs in the middle of its answer, until it is ended by cancelling it. */
async function startStalled(args: Record<string, unknown> = {}, by = client) {
  const controller = new AbortController()
  const open = app.claude.openStreams()
  app.claude.script(STALL)
  const message = { message: 'Hello.', ...args }
  const done = by.call('send_message', message, { signal: controller.signal }).catch(() => {})
  await vi.waitUntil(() => app.claude.openStreams() === open + 1, PATIENCE)
  return async () => {
    controller.abort()
    await done
    await vi.waitUntil(() => app.claude.openStreams() === open, PATIENCE)
  }
}

describeDatabases('once', (kind) => {
  beforeAll(async () => {
    app = await startApp({ kind })
    user = await app.register()
    client = await app.connect('modern', user.accessToken)
  })
  beforeEach(() => app.claude.reset())
  afterAll(() => app.close())

  describe('a conversation', () => {
    test('is busy while Claude answers in it, and free again afterwards', async () => {
      const { conversation_id } = (await send()).structured.data
      const end = await startStalled({ conversation_id })
      const { structured } = await send({ conversation_id })
      expect(structured.error).toMatchObject({
        code: 'conversation_busy',
        retryable: true,
        retry_after_seconds: expect.any(Number),
      })
      expect(outcomeOf(await send()), 'another conversation is free').toBe('answered')
      expect(calls()).toBe(3)
      await end()

      await vi.waitUntil(
        async () => outcomeOf(await send({ conversation_id })) === 'answered',
        PATIENCE,
      )
      const { structured: page } = await client.call('get_conversation_history', {
        conversation_id,
      })
      const { messages } = page as { messages: { status: string }[] }
      expect(
        messages.map(({ status }) => status),
        'a refused send leaves nothing',
      ).toEqual(['complete', 'complete', 'cancelled', 'cancelled', 'complete', 'complete'])
    })

    test('takes many sends at once one by one or not at all', async () => {
      const { conversation_id } = (await send()).structured.data
      const answers = await Promise.all(
        [1, 2, 3, 4, 5, 6].map((turn) => send({ conversation_id, message: `turn ${turn}` })),
      )
      const outcomes = answers.map(outcomeOf)
      const answered = outcomes.filter((outcome) => outcome === 'answered').length
      expect(answered).toBeGreaterThan(0)
      for (const outcome of outcomes) expect(['answered', 'conversation_busy']).toContain(outcome)
      expect(calls()).toBe(1 + answered)
      const { structured } = await client.call('get_conversation_history', { conversation_id })
      const { messages } = structured as { messages: { role: string; content: string }[] }
      expect(messages).toHaveLength(2 + 2 * answered)
      messages.forEach(({ role, content }, index) => {
        expect(role).toBe(index % 2 === 0 ? 'user' : 'assistant')
        expect(content, 'each answer echoes the question before it').toBe(
          messages[index - (index % 2)]?.content,
        )
      })
    })
  })

  describe('an idempotency_key', () => {
    test('gives the stored answer again, without a second call', async () => {
      const args = { idempotency_key: 'order-1', system_prompt: 'Be brief.', max_tokens: 50 }
      const first = await send(args)
      const again = await send(args)
      expect(again.structured).toEqual({
        success: true,
        data: { ...first.structured.data, replayed: true },
      })
      expect(calls()).toBe(1)
    })

    test.each([
      ['message', { message: 'Other.' }],
      ['model', { model: 'opus' }],
      ['conversation_id', {}],
      ['temperature', { temperature: 0.5 }],
      ['thinking', { thinking: 'adaptive' }],
      ['stop_sequences', { stop_sequences: ['x'] }],
    ])('with another %s is a conflict', async (name, other) => {
      const idempotency_key = `conflict-${name}`
      const { conversation_id } = (await send({ idempotency_key })).structured.data
      const changed = name === 'conversation_id' ? { conversation_id } : other
      const { structured } = await send({ idempotency_key, ...changed })
      expect(structured.error).toMatchObject({
        code: 'idempotency_conflict',
        retryable: false,
        details: { field: 'idempotency_key' },
      })
      expect(calls()).toBe(1)
    })

    test('with another wait_seconds is still the same call', async () => {
      const args = { idempotency_key: 'patience' }
      await send(args)
      expect(outcomeOf(await send({ ...args, wait_seconds: 7 }))).toBe('replayed')
      expect(calls()).toBe(1)
    })

    test('is one’s own: another user’s same key is another key', async () => {
      const { accessToken } = await app.register()
      const other = await app.connect('legacy', accessToken)
      const args = { idempotency_key: 'shared-words' }
      expect(outcomeOf(await send(args))).toBe('answered')
      expect(outcomeOf(await send(args, other))).toBe('answered')
      expect(outcomeOf(await send(args, other))).toBe('replayed')
      expect(calls()).toBe(2)
    })

    test.each([1, 2, 3])('used many times at once makes one call (round %d)', async (round) => {
      const args = { idempotency_key: `rush-${round}` }
      const outcomes = (await Promise.all([1, 2, 3, 4, 5, 6].map(() => send(args)))).map(outcomeOf)
      expect(calls()).toBe(1)
      expect(outcomes.filter((outcome) => outcome === 'answered')).toHaveLength(1)
      for (const outcome of outcomes) {
        expect(['answered', 'replayed', 'conversation_busy']).toContain(outcome)
      }
      expect(outcomeOf(await send(args))).toBe('replayed')
    })

    test('whose first call still runs joins it', async () => {
      const args = { idempotency_key: 'slow', wait_seconds: 0 }
      app.claude.script(STALL)
      const first = await send(args)
      const again = await send(args)
      const { message_id } = first.structured.data
      expect(again.structured.data).toMatchObject({ status: 'running', replayed: true, message_id })
      expect(calls()).toBe(1)
      await client.call('cancel_message', { message_id })
    })

    test('whose first call failed unbilled may be used again', async () => {
      const args = { idempotency_key: 'second-chance' }
      app.claude.script({ kind: 'status', status: 400 })
      expect(outcomeOf(await send(args))).toBe('upstream_invalid_request')
      expect(outcomeOf(await send(args))).toBe('answered')
      expect(outcomeOf(await send(args))).toBe('replayed')
      expect(calls()).toBe(2)
    })

    test('whose first call broke after it was billed is used up', async () => {
      const args = { idempotency_key: 'billed-and-broken' }
      app.claude.script({ kind: 'stream_end', afterChunks: 1 })
      const first = await send(args)
      const again = await send(args)
      expect(again.structured.error).toMatchObject({
        code: first.structured.error.code,
        retryable: false,
        details: { message_id: first.structured.error.details.message_id },
      })
      expect(calls()).toBe(1)
    })

    test('whose first call was cancelled after it was billed is used up', async () => {
      const args = { idempotency_key: 'billed-and-cancelled' }
      app.claude.script(STALL)
      const { message_id } = (await send({ ...args, wait_seconds: 1 })).structured.data
      await client.call('cancel_message', { message_id })
      expect(outcomeOf(await send({ ...args, wait_seconds: 1 }))).toBe('cancelled')
      expect(calls()).toBe(1)
    })

    test('replays the stop sequence that ended the answer', async () => {
      const stop_sequences = ['never', 'STOP']
      const args = { idempotency_key: 'stopped', message: 'before STOP after', stop_sequences }
      const first = await send(args)
      expect(first.structured.data).toMatchObject({ content: 'before ', stop_sequence: 'STOP' })
      const again = await send(args)
      expect(again.structured.data).toEqual({ ...first.structured.data, replayed: true })
    })

    test('replays a refusal as a refusal', async () => {
      const args = { idempotency_key: 'refused' }
      app.claude.setReply({ refusalCategory: 'bio' })
      const first = await send(args)
      const again = await send(args)
      expect(again.structured.data).toEqual({ ...first.structured.data, replayed: true })
      expect(again.structured.data).toMatchObject({ refused: true, refusal_category: 'bio' })
      expect(calls()).toBe(1)
    })
  })
})

describe.runIf(hasPostgresql)('two replicas', () => {
  test('keep both promises together', async () => {
    app = await startApp({ kind: 'postgresql' })
    const second = await startSecondReplica(app)
    try {
      user = await app.register()
      client = await app.connect('modern', user.accessToken)
      const there = await second.connect('legacy', user.accessToken)
      const args = { idempotency_key: 'anywhere' }
      const { conversation_id } = (await send(args)).structured.data
      expect(outcomeOf(await send(args, there))).toBe('replayed')

      const end = await startStalled({ conversation_id })
      expect(outcomeOf(await send({ conversation_id }, there))).toBe('conversation_busy')
      await end()

      const rush = { idempotency_key: 'rush' }
      const callsBefore = calls()
      const both = [client, there, client, there, client, there].map((by) => send(rush, by))
      const outcomes = (await Promise.all(both)).map(outcomeOf)
      expect(calls() - callsBefore).toBe(1)
      expect(outcomes.filter((outcome) => outcome === 'answered')).toHaveLength(1)
    } finally {
      await second.close()
      await app.close()
    }
  })
})
