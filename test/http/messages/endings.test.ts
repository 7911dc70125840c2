/** How exchanges end early, on Anthropic's side and on the client's: what is seen, and what is booked. */

import { once } from 'node:events'
import { request, type ServerResponse } from 'node:http'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  BLOCK_END,
  delta,
  event,
  messagesBody,
  START,
  STREAM_HEADERS,
  TEXT,
} from '../../support/api-exchange.ts'
import { type ApiUser, apiUser } from '../../support/api-user.ts'
import { openRequest } from '../../support/raw-request.ts'
import { type ScriptedApp, startScriptedApp } from '../../support/scripted-app.ts'

const HIDDEN_THINKING = event('content_block_start', {
  index: 0,
  content_block: { type: 'thinking', thinking: '', signature: '' },
})
const FAILURE = event('error', { error: { type: 'overloaded_error', message: 'Overloaded' } })

let { origin, app, close } = {} as ScriptedApp
let user: ApiUser
beforeAll(async () => {
  ;({ origin, app, close } = await startScriptedApp('embedded'))
})
afterAll(() => close())
beforeEach(async () => {
  origin.asked.splice(0)
  user = await apiUser(app)
})

const open = () =>
  openRequest(app.baseUrl, {
    path: '/v1/messages',
    headers: { 'x-api-key': user.token },
    body: messagesBody({ stream: true }),
  })

type Seen = { status: number; text: string; isCut: boolean }

async function see(): Promise<Seen> {
  const answer = await open()
  let text = ''
  let isCut = false
  try {
    for await (const chunk of answer) text += chunk
  } catch {
    isCut = true
  }
  return { status: answer.statusCode ?? 0, text, isCut }
}

/** The lines of the ledger, once nothing of the user is held any more. */
async function booked() {
  const held = async () => {
    const rows = app.app.db.selectFrom('spending').select('reservedNanoUsd')
    const own = await rows.where('userId', '=', user.userId).execute()
    return own.map(({ reservedNanoUsd }) => Number(reservedNanoUsd))
  }
  await expect.poll(held, { timeout: 20_000 }).toEqual([0, 0])
  return app.app.db.selectFrom('ledger').selectAll().where('userId', '=', user.userId).execute()
}

describe('Anthropic', () => {
  const begun = (text: string) => (res: ServerResponse) => {
    res.writeHead(200, STREAM_HEADERS)
    res.write(text)
    return res
  }
  /** Cut only once the client has what was sent before: a reset may overtake it. */
  const dies = (text: string) => (res: ServerResponse) =>
    void begun(text)(res).write('', () => setTimeout(() => res.destroy(), 50))
  const ends = (text: string) => (res: ServerResponse) => void begun(text)(res).end()

  test('is gone before it answers: 502, and the likely input is booked', async () => {
    origin.script((res) => void res.destroy())
    expect(await see()).toMatchObject({ status: 502, isCut: false })
    expect(await booked()).toMatchObject([{ status: 'failed', estimated: 'stream_broken' }])
  })

  test.each([
    ['before the first block', START],
    ['within a block', START + TEXT],
    ['after a block', START + TEXT + BLOCK_END],
  ])('breaks off %s: so does the answer', async (_, text) => {
    origin.script(dies(text))
    expect(await see()).toEqual({ status: 200, text, isCut: true })
    expect(await booked()).toMatchObject([
      { inputTokens: 10, status: 'failed', estimated: 'stream_broken' },
    ])
  })

  test('ends without message_stop: so does the answer', async () => {
    origin.script(ends(START + TEXT))
    expect(await see()).toEqual({ status: 200, text: START + TEXT, isCut: false })
    const [line] = await booked()
    expect(line).toMatchObject({ inputTokens: 10, estimated: 'usage_missing' })
    expect(line?.outputTokens).toBeGreaterThanOrEqual(100)
  })

  const failing =
    (status: number, text: string, headers = {}) =>
    (res: ServerResponse) =>
      void res.writeHead(status, headers).end(text)

  test.each([504, 524])(
    'was asked in vain by a proxy, which says %s: it passes, and the likely input is booked',
    async (status) => {
      const page = '<html>timed out</html>'
      origin.script(failing(status, page, { 'content-type': 'text/html' }))
      expect(await see()).toEqual({ status, text: page, isCut: false })
      expect(await booked()).toMatchObject([{ status: 'failed', estimated: 'usage_missing' }])
    },
  )

  test('itself says that it was too late: it passes, and costs nothing', async () => {
    const error = '{"type":"error","error":{"type":"timeout_error","message":"Too late"}}'
    origin.script(failing(504, error))
    expect(await see()).toEqual({ status: 504, text: error, isCut: false })
    expect(await booked()).toEqual([])
  })

  test.each(['text/html', 'application/json'])(
    'is not who answers, but a page of a network, as %s: it passes',
    async (type) => {
      const page = '<html>Please sign in to this network</html>'
      origin.script(failing(200, page, { 'content-type': type }))
      expect(await see()).toEqual({ status: 200, text: page, isCut: false })
      expect(await booked()).toEqual([])
    },
  )

  test.each([
    ['a coding that is not known', 'compress'],
    ['another coding than it says', 'gzip'],
  ])('answers in %s: it passes, and is booked as likely', async (_, coding) => {
    const headers = { 'content-type': 'application/json', 'content-encoding': coding }
    origin.script(failing(200, '\u001f packed', headers))
    expect(await see()).toMatchObject({ status: 200, text: '\u001f packed' })
    expect(await booked()).toMatchObject([{ estimated: 'usage_missing' }])
  })

  test.each([301, 302, 303, 307, 308, 407])(
    'is elsewhere (%s): the client is not sent there, and it costs nothing',
    async (status) => {
      const headers = { location: 'https://elsewhere.example/', 'content-length': '0' }
      origin.script(failing(status, '', headers))
      const answer = await open()
      expect(answer.statusCode).toBe(502)
      expect(answer.headers).toMatchObject({ 'x-should-retry': 'false' })
      expect(answer.headers.location).toBeUndefined()
      let text = ''
      for await (const chunk of answer) text += chunk
      expect(JSON.parse(text).error).toMatchObject({
        type: 'api_error',
        message: expect.stringMatching(/operator of the gateway/),
      })
      expect(await booked()).toEqual([])
    },
  )

  test('tells an error instead of an answer: it passes, and costs nothing', async () => {
    origin.script(ends(FAILURE))
    expect(await see()).toEqual({ status: 200, text: FAILURE, isCut: false })
    expect(await booked()).toEqual([])
  })

  test('tells an error in an answer: it passes, and what was written is booked', async () => {
    const text = START + TEXT + BLOCK_END + FAILURE
    origin.script(ends(text))
    expect(await see()).toEqual({ status: 200, text, isCut: false })
    expect(await booked()).toMatchObject([{ inputTokens: 10, status: 'failed' }])
  })
})

describe('a client that leaves', () => {
  /** Leaves once this much has come, and waits until Anthropic's connection is closed. */
  async function leave(text: string): Promise<void> {
    let closed: Promise<unknown> | undefined
    origin.script((res) => {
      closed = once(res, 'close')
      if (text !== '') res.writeHead(200, STREAM_HEADERS).write(text)
    })
    const { port } = new URL(app.baseUrl)
    const req = request({
      ...{ port, path: '/v1/messages', method: 'POST', agent: false },
      headers: { 'x-api-key': user.token },
    })
    req.on('error', () => {})
    const answered = once(req, 'response')
    answered.catch(() => {})
    req.end(messagesBody({ stream: true, max_tokens: 3000 }))
    await expect.poll(() => origin.asked.length, { timeout: 20_000, interval: 5 }).toBe(1)
    if (text !== '') {
      const [answer] = await answered
      answer.on('error', () => {})
      let received = ''
      answer.on('data', (chunk: Buffer) => {
        received += chunk
      })
      await expect.poll(() => received, { interval: 5 }).toBe(text)
    }
    req.destroy()
    await closed
  }

  test.each([
    ['before the answer begins', ''],
    ['after it began', START],
    ['while thinking is not shown', START + HIDDEN_THINKING],
  ])('%s stops Anthropic; what is likely is booked, and marked', async (_, text) => {
    await leave(text)
    expect(await booked()).toMatchObject([{ estimated: 'stream_cancelled', status: 'cancelled' }])
  })

  test('after the last count stops Anthropic; what was counted is booked', async () => {
    await leave(START + TEXT + BLOCK_END + delta(90))
    expect(await booked()).toMatchObject([
      { inputTokens: 10, outputTokens: 90, estimated: null, status: 'cancelled' },
    ])
  })
})
