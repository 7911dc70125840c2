/** Messages that begin before their session is looked up are counted and refused like all others. */

import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { hasPostgresql } from '../../support/databases.ts'
import { startApp, type TestApp, type TestUser } from '../../support/start-app.ts'

const LIMIT = 7

describe.runIf(hasPostgresql)('messages that begin early', () => {
  let app: TestApp
  let user: TestUser
  let early = 0
  beforeAll(async () => {
    app = await startApp({ kind: 'postgresql', env: { REQUESTS_PER_MINUTE: String(LIMIT) } })
    const { turnBeginnings } = app.app.repositories
    const begin = turnBeginnings.beginRemembered.bind(turnBeginnings)
    turnBeginnings.beginRemembered = async (turn) => {
      const begun = await begin(turn)
      if (typeof begun !== 'string') early += 1
      return begun
    }
  })
  afterAll(() => app.close())

  const post = async (args: object, token = user.accessToken) => {
    const answer = await fetch(app.mcpUrl, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${token}`,
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
      },
      body: JSON.stringify({
        jsonrpc: '2.0',
        id: randomUUID(),
        method: 'tools/call',
        params: { name: 'claude-api-gateway_send_message', arguments: args },
      }),
    })
    const text = await answer.text()
    const [, left] = /"requests"; r=(\d+)/.exec(answer.headers.get('ratelimit') ?? '') ?? []
    const result = JSON.parse(/\{.*\}/.exec(text)?.[0] ?? '{}').result?.structuredContent
    return { status: answer.status, left: Number(left), result }
  }

  test('count one by one, with what is left in their headers, and are refused above the limit', async () => {
    user = await app.register()
    const { left: first, result } = await post({ message: 'Hi' })
    const { conversation_id } = result.data
    for (let left = first - 1; left >= 0; left--) {
      const sent = await post({ message: 'Hi', conversation_id })
      expect([sent.left, sent.result.success]).toEqual([left, true])
    }
    // Once the use of the session was noted, which made what was remembered of it stale.
    expect(early).toBeGreaterThanOrEqual(first - 1)
    const asked = app.claude.messageRequests().length
    for (let times = 0; times < 3; times++) {
      const { status, result: refused } = await post({ message: 'Hi', conversation_id })
      expect([status, refused.error.code]).toEqual([200, 'rate_limited'])
    }
    expect(app.claude.messageRequests()).toHaveLength(asked)
  })

  test('with wrong arguments, or too many at once, are none', async () => {
    user = await app.register()
    const { result } = await post({ message: 'Hi' })
    const { conversation_id } = result.data
    const before = early
    const blank = await post({ message: ' ', conversation_id })
    expect(blank.result.error.code).toBe('invalid_input')
    const unknown = await post({ message: 'Hi', conversation_id: randomUUID() })
    expect(unknown.result.error.code).toBe('not_found')
    expect(early).toBe(before)
    const both = [1, 2].map(() => post({ message: 'Hi', conversation_id }))
    const codes = (await Promise.all(both)).map((one) => one.result.error?.code ?? 'sent')
    expect(codes).toContain('sent')
    expect(codes.every((code) => ['sent', 'conversation_busy'].includes(code))).toBe(true)
  })
})
