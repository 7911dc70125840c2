/** Documents whose host is quick, slow, away, or has changed its mind. */

import type { RequestListener } from 'node:http'
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { createLogger } from '../../src/log.ts'
import { ClientDocuments } from '../../src/oauth/client-documents.ts'
import { Outgoing } from '../../src/outgoing.ts'
import { type DocumentHost, startDocumentHost } from '../support/document-host.ts'

let host: DocumentHost
let answer: RequestListener
let documents: ClientDocuments
let lines: { msg: string; document: string; reason: string }[]

beforeAll(async () => {
  host = await startDocumentHost((req, res) => answer(req, res))
})
afterAll(() => host.close())
beforeEach(() => {
  vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0')
  lines = []
  const log = createLogger('warn', { write: (line) => lines.push(JSON.parse(line)) })
  const outgoing = new Outgoing()
  documents = new ClientDocuments({ mode: 'on', privateHosts: ['localhost'], outgoing, log })
  answer = says('first')
})

const says =
  (text: string): RequestListener =>
  (_req, res) =>
    void res.setHeader('Cache-Control', 'max-age=60').end(text)
const silent: RequestListener = () => {}
const get = () => documents.get(`${host.url}/document`, { accept: 'application/json' })
const textOf = async () => (await get()).text()

test('is what its host says now, when that comes soon', async () => {
  expect(await textOf()).toBe('first')
  answer = says('second')
  expect(await textOf()).toBe('second')
})

test('is the one from before while its host is slow, and asked for again soon', async () => {
  await textOf()
  answer = silent
  const kept = await get()
  expect([await kept.text(), kept.headers.get('cache-control')]).toEqual(['first', 'max-age=0'])
})

test('is fetched meanwhile, for whoever comes next', async () => {
  await textOf()
  const waiting: Parameters<RequestListener>[1][] = []
  answer = (_req, res) => void waiting.push(res)
  const before = host.requests.length
  expect(await Promise.all([textOf(), textOf(), textOf()])).toEqual(['first', 'first', 'first'])
  expect(host.requests.length).toBe(before + 1)
  answer = says('second')
  for (const res of waiting) res.end('second')
  await expect.poll(textOf).toBe('second')
})

test('is asked for once by all who want the first one', async () => {
  const before = host.requests.length
  expect(await Promise.all([textOf(), textOf(), textOf()])).toEqual(['first', 'first', 'first'])
  expect(host.requests.length).toBe(before + 1)
})

test('is gone when its host says so', async () => {
  await textOf()
  answer = (_req, res) => void res.writeHead(404).end()
  expect((await get()).status).toBe(404)
  answer = silent
  await expect(get()).rejects.toThrow(/aborted/)
})

test('that could not be had is not asked for again at once', async () => {
  answer = (req) => void req.socket.destroy()
  await expect(get()).rejects.toThrow(/hang up|ECONNRESET/)
  const before = host.requests.length
  await expect(get()).rejects.toThrow(/hang up|ECONNRESET/)
  expect(host.requests.length).toBe(before)
})

test('that cannot be had is named in the log with the reason, until it can', async () => {
  const document = `${host.url}/document`
  expect(documents.whyNot(document)).toBeUndefined()
  answer = (_req, res) => void res.writeHead(404).end()
  await get()
  answer = (req) => void req.socket.destroy()
  await expect(get()).rejects.toThrow()
  expect(lines).toMatchObject(
    [
      { msg: "a client's document could not be fetched", document, reason: /status 404/ },
      { document, reason: /ECONNRESET/ },
    ].map((line) => ({ ...line, reason: expect.stringMatching(line.reason) })),
  )
  // Of a host inside, what it answers is for nobody but the operator.
  expect(documents.whyNot(document)).toBe('the log of the gateway says why')
})

test.each(['::1', '[::1]'])(
  'at an address inside that is listed as %s is for the log',
  async (listed) => {
    const log = createLogger('silent')
    const outgoing = new Outgoing()
    const inside = new ClientDocuments({ mode: 'on', privateHosts: [listed], outgoing, log })
    // Nobody listens there.
    const document = `https://[::1]:${host.port}/document`
    await expect(inside.get(document, {})).rejects.toThrow(/connect/)
    expect(inside.whyNot(document)).toBe('the log of the gateway says why')
  },
)

test.each([
  ['https://10.0.0.1/client', 'its host has no public address'],
  ['https://no-such-name.invalid/client', 'its host has no public address'],
])('at %s is refused for one reason, whether there is anybody or not', async (url, reason) => {
  await expect(documents.get(url, {})).rejects.toThrow()
  expect(documents.whyNot(url)).toMatch(reason)
})
