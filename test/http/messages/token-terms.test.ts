/** What the terms of a personal token allow at the Messages API, and its end while an answer comes. */

import { once } from 'node:events'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  BLOCK_END,
  MODEL,
  messagesBody,
  START,
  STREAM_HEADERS,
  TEXT,
} from '../../support/api-exchange.ts'
import { openRequest, rawRequest } from '../../support/raw-request.ts'
import { type ScriptedApp, startScriptedApp } from '../../support/scripted-app.ts'
import { browserSession } from '../../support/signed-up.ts'
import type { TestUser } from '../../support/start-app.ts'

let { origin, app, close } = {} as ScriptedApp
let user: TestUser
beforeAll(async () => {
  ;({ origin, app, close } = await startScriptedApp('embedded'))
})
afterAll(() => close())
beforeEach(async () => {
  origin.asked.splice(0)
  user = await app.register()
})

let count = 0
const newToken = async (terms: { allowedModels?: string[] } = {}) =>
  app.app.services.personalTokens.create(await browserSession(app, user.userId), {
    name: `agent ${++count}`,
    scopes: ['messages:api'],
    expiresAt: new Date(Date.now() + 3_600_000),
    ...terms,
  })
const reserved = async () => {
  const rows = app.app.db.selectFrom('spending').select('reservedNanoUsd')
  const own = await rows.where('userId', '=', user.userId).execute()
  return own.map(({ reservedNanoUsd }) => Number(reservedNanoUsd))
}

describe('a token for certain models', () => {
  const HAIKU = 'claude-haiku-4-5-20251001'
  const advisor = (model: string) => ({
    tools: [{ type: 'advisor_20260301', name: 'advisor', model }],
  })
  const ask = async (fields: object, path = '/v1/messages') => {
    const { token } = await newToken({ allowedModels: [MODEL, HAIKU] })
    const headers = { 'x-api-key': token }
    return rawRequest(app.baseUrl, { path, headers, body: messagesBody(fields) })
  }

  test.each([
    ['another model', { model: 'claude-fable-5-2' }, /not use claude-fable-5-2/],
    ['a fallback', { fallbacks: [{ model: 'claude-fable-5-2' }] }, /not use claude-fable-5-2/],
    ['an advisor', advisor('claude-fable-5-2'), /not use claude-fable-5-2/],
    ['fallbacks that Anthropic chooses', { fallbacks: 'default' }, /name the models/],
  ])('is refused %s, and a count of its tokens', async (_, fields, words) => {
    for (const path of ['/v1/messages', '/v1/messages/count_tokens']) {
      const refused = await ask(fields, path)
      expect(refused).toMatchObject({
        status: 400,
        headers: { 'x-should-retry': 'false' },
        json: { error: { type: 'policy_blocked', message: expect.stringMatching(words) } },
      })
      expect(refused.json.error.message).toContain(`It may use ${MODEL}, ${HAIKU}.`)
    }
    expect(origin.asked).toEqual([])
  })

  test.each([
    ['them', {}],
    ['them without their date', { model: 'claude-haiku-4-5' }],
    ['them as fallback and advisor', { fallbacks: [{ model: HAIKU }], ...advisor(MODEL) }],
  ])('may use %s', async (_, fields) => {
    origin.script((res) => void res.end('{}'))
    expect((await ask(fields)).status).toBe(200)
  })
})

describe('while an answer comes', () => {
  const endings: [string, (id: string) => Promise<unknown>][] = [
    [
      'is revoked',
      async (id) => app.app.services.sessions.revokeOne(await browserSession(app, user.userId), id),
    ],
    [
      'expires',
      (id) => {
        const expiring = app.app.db.updateTable('sessions').set({ expiresAt: new Date() })
        return expiring.where('id', '=', id).execute()
      },
    ],
  ]

  test.each(endings)(
    'a token that %s ends it after its block, and it is booked',
    async (_, end) => {
      const { token, id } = await newToken()
      const written = START + TEXT + BLOCK_END
      origin.script((res) => void res.writeHead(200, STREAM_HEADERS).write(written))
      const body = messagesBody({ stream: true })
      const asked = { path: '/v1/messages', headers: { 'x-api-key': token }, body }
      const answer = await openRequest(app.baseUrl, asked)
      let text = ''
      answer.setEncoding('utf8').on('data', (piece: string) => {
        text += piece
      })
      await expect.poll(() => text).toBe(written)
      await Promise.all([once(answer, 'end'), end(id)])
      expect(text.slice(written.length)).toMatch(
        /^event: error\ndata: .*authentication_error.*account\/tokens.*\n\n$/,
      )
      await expect.poll(reserved).toEqual([0, 0])
      const lines = app.app.db.selectFrom('ledger').selectAll().where('userId', '=', user.userId)
      expect(await lines.execute()).toMatchObject([{ inputTokens: 10, estimated: 'stream_broken' }])
      expect(await app.app.repositories.ledgerAudit.listDrift()).toEqual([])
      expect((await rawRequest(app.baseUrl, asked)).status).toBe(401)
      expect(origin.asked).toHaveLength(1)
    },
  )
})
