/** A call that nobody waits for any more: what stops, what is kept, and what was billed. */

import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { runSql } from '../../support/database-supplies.ts'
import { describeDatabases } from '../../support/databases.ts'
import { PATIENCE } from '../../support/patience.ts'
import {
  eras,
  startApp,
  type TestApp,
  type TestClient,
  type TestUser,
} from '../../support/start-app.ts'
import { post, postCall } from '../raw-call.ts'

const TEXT = 'word '.repeat(40)
const CHUNK_SIZE = 10

describeDatabases('send_message, abandoned', (kind) => {
  let app: TestApp
  let user: TestUser
  let reader: TestClient

  beforeAll(async () => {
    app = await startApp({ kind, claude: { chunkSize: CHUNK_SIZE, chunkDelayMs: 25 } })
    user = await app.register()
    reader = await app.connect('legacy', user.accessToken)
  })
  beforeEach(() => {
    app.claude.reset()
    app.claude.setReply({ text: TEXT })
  })
  afterAll(() => app.close())

  const bearer = (token = user.accessToken) => ({ headers: { Authorization: `Bearer ${token}` } })

  /** The two rows of the newest turn of all. */
  async function newestTurn() {
    const { structured } = await reader.call('get_conversations', { limit: 1 })
    const conversation_id: string = structured.conversations[0].id
    const history = await reader.call('get_conversation_history', { conversation_id, limit: 2 })
    return { conversation_id, rows: history.structured.messages }
  }

  const untilNewestIs = (status: string) =>
    vi.waitFor(async () => {
      const turn = await newestTurn()
      expect(turn.rows).toMatchObject([{ status }, { status }])
      return turn
    }, PATIENCE)

  const untilStreams = () => vi.waitUntil(() => app.claude.openStreams() === 1, PATIENCE)

  describe.each(eras)('%s era', (era) => {
    test('cancelled by its client, the call stops Claude, keeps the part and books it', async () => {
      const client = await app.connect(era, user.accessToken)
      app.claude.script({ kind: 'stream_stall', afterChunks: 3 })
      const controller = new AbortController()
      const call = client.call(
        'send_message',
        { message: `Cancel me, ${era}.` },
        { signal: controller.signal },
      )
      const rejected = expect(call).rejects.toThrow()
      await untilStreams()
      await vi.waitUntil(() => app.claude.billed(user.apiKey).outputTokens > 0, PATIENCE)
      controller.abort()
      await rejected
      await vi.waitUntil(() => app.claude.abortedStreams() === 1, PATIENCE)
      expect(app.claude.openStreams()).toBe(0)

      const { conversation_id, rows } = await untilNewestIs('cancelled')
      const [question, answer] = rows
      expect(question).toMatchObject({ content: `Cancel me, ${era}.`, error_code: null })
      expect(answer.error_code).toBe('cancelled')
      expect(TEXT.slice(0, 3 * CHUNK_SIZE).startsWith(answer.content)).toBe(true)
      expect(answer.token_count).toBeGreaterThan(0)
      if (app.databaseUrl) {
        const { inputTokens } = app.claude.billed(user.apiKey)
        const ledger = await runSql(
          app.databaseUrl,
          `select input_tokens, output_tokens, estimated, cost_nano_usd is not null as is_priced
           from ledger where message_id = '${answer.id}'`,
        )
        expect(ledger).toEqual([
          {
            input_tokens: inputTokens,
            output_tokens: answer.token_count,
            estimated: 'stream_cancelled',
            is_priced: true,
          },
        ])
      }

      const next = await client.call('send_message', { message: 'Go on.', conversation_id })
      expect(next.structured.data.history).toEqual({ sent: 0, omitted: 0 })
    })
  })

  test('modern: a closed connection is a cancellation', async () => {
    app.claude.script({ kind: 'stream_stall', afterChunks: 2 })
    const controller = new AbortController()
    const { signal } = controller
    const args = { message: 'Close.' }
    const call = postCall(app.url, 'modern', 'send_message', args, { ...bearer(), signal })
    const gone = call.then((response) => response.text()).catch(() => 'gone')
    await untilStreams()
    controller.abort()
    expect(await gone).toBe('gone')
    await vi.waitUntil(() => app.claude.abortedStreams() === 1, PATIENCE)
    await untilNewestIs('cancelled')
  })

  test('legacy: a closed connection is no cancellation, and the answer is there later', async () => {
    const controller = new AbortController()
    const { signal } = controller
    const args = { message: 'Leave.' }
    const call = postCall(app.url, 'legacy', 'send_message', args, { ...bearer(), signal })
    const gone = call.then((response) => response.text()).catch(() => 'gone')
    await untilStreams()
    controller.abort()
    expect(await gone).toBe('gone')
    const { rows } = await untilNewestIs('complete')
    expect(rows).toMatchObject([{ content: 'Leave.' }, { content: TEXT, error_code: null }])
    expect(app.claude.abortedStreams()).toBe(0)
  })

  test('legacy: only the session that made a call can cancel it, by its id', async () => {
    const stranger = await app.register()
    const args = { message: 'Mine.' }
    const call = postCall(app.url, 'legacy', 'send_message', args, { ...bearer(), id: 4711 })
    await untilStreams()
    const cancel = (requestId: number, extra = {}) =>
      post(app.url, 'legacy', 'notifications/cancelled', { requestId }, extra)
    const statuses = [
      await cancel(4711, bearer(stranger.accessToken)),
      await cancel(4711),
      await cancel(4712, bearer()),
    ].map(({ status }) => status)
    expect(statuses).toEqual([202, 202, 202])
    expect(await (await call).text()).toContain('"status":"complete"')

    app.claude.script({ kind: 'stream_stall', afterChunks: 1 })
    const other = postCall(app.url, 'legacy', 'send_message', args, { ...bearer(), id: 4713 })
    const ended = other.then((response) => response.text()).catch(() => 'gone')
    await untilStreams()
    expect((await cancel(4713, bearer())).status).toBe(202)
    await vi.waitUntil(() => app.claude.abortedStreams() === 1, PATIENCE)
    expect(await ended).not.toContain('"status":"complete"')
    await untilNewestIs('cancelled')
  })
})
