/** How long an exchange with Anthropic may be silent, by a clock that the test moves. */

import type { ServerResponse } from 'node:http'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Upstream, type UpstreamAnswer } from '../../../src/claude/pass-through/upstream.ts'
import type { AppError } from '../../../src/errors.ts'
import { startScriptedOrigin } from '../../support/scripted-origin.ts'

const SECOND = 1000
const PING = 'event: ping\ndata: {"type": "ping"}\n\n'

let origin: Awaited<ReturnType<typeof startScriptedOrigin>>
let upstream: Upstream
beforeEach(async () => {
  origin = await startScriptedOrigin()
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  upstream = new Upstream({ baseUrl: origin.url })
})
afterEach(async () => {
  vi.useRealTimers()
  await upstream.close()
  await origin.close()
})

type Seen = { status: number | null; text: string; end: 'open' | 'whole' | AppError }

/** Sends a request, and has what has come of it so far; `res`: where its answer is written. */
async function begin(isStream: boolean): Promise<{ seen: Seen; res: ServerResponse }> {
  const seen: Seen = { status: null, text: '', end: 'open' }
  const answer: UpstreamAnswer = {
    onSent: () => {},
    onHead: (status) => {
      seen.status = status
    },
    onData: (chunk) => {
      seen.text += chunk
      return true
    },
    onEnd: () => {
      seen.end = 'whole'
    },
    onBroken: (error) => {
      seen.end = error
    },
  }
  let res: ServerResponse | undefined
  origin.script((given) => {
    res = given
  })
  const request = { method: 'POST' as const, path: '/v1/messages', headers: {}, isStream }
  upstream.send({ ...request, body: Buffer.from('{}') }, answer)
  await until(() => res !== undefined)
  return { seen, res: res as unknown as ServerResponse }
}

/** Turns of the event loop, which no fake clock holds up. */
async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setImmediate(resolve))
}

test('an answer in one piece may take an hour to begin', async () => {
  const { seen, res } = await begin(false)
  await vi.advanceTimersByTimeAsync(59 * 60 * SECOND)
  expect(seen.end).toBe('open')
  res.end('{"answer":1}')
  await until(() => seen.end === 'whole')
  expect(seen).toMatchObject({ status: 200, text: '{"answer":1}' })
})

test('a stream lives on pings, for as long as they come', async () => {
  const { seen, res } = await begin(true)
  res.writeHead(200, { 'content-type': 'text/event-stream' })
  for (let minute = 1; minute <= 10; minute += 1) {
    res.write(PING)
    await until(() => seen.text.length === minute * PING.length)
    await vi.advanceTimersByTimeAsync(60 * SECOND)
  }
  expect(seen.end).toBe('open')
  res.end()
  await until(() => seen.end === 'whole')
})

test('a stream without a byte for five minutes has ended', async () => {
  const { seen, res } = await begin(true)
  res.writeHead(200, { 'content-type': 'text/event-stream' }).write(PING)
  await until(() => seen.text === PING)
  await vi.advanceTimersByTimeAsync(299 * SECOND)
  expect(seen.end).toBe('open')
  const closed = new Promise((resolve) => res.once('close', resolve))
  await vi.advanceTimersByTimeAsync(2 * SECOND)
  expect(seen.end).toMatchObject({ code: 'upstream_timeout' })
  await closed
})
