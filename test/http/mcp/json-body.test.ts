import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { text } from 'node:stream/consumers'
import express, { type ErrorRequestHandler } from 'express'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { jsonBody } from '../../../src/http/mcp/json-body.ts'

const MAX_BYTES = 1_000
const passedOn: unknown[] = []
let server: Server

beforeAll(async () => {
  const app = express()
  app.use(jsonBody(MAX_BYTES, 100))
  app.use((req, res) => void res.json({ body: req.body ?? 'none' }))
  const onError: ErrorRequestHandler = (error, _req, res, _next) => {
    passedOn.push(error)
    res.status(400).json({ type: error.type })
  }
  app.use(onError)
  server = createServer(app).listen(0, '127.0.0.1')
  await once(server, 'listening')
})
afterAll(() => server.close())

/** Every piece in a packet of its own. */
async function send(
  pieces: readonly (string | Buffer)[],
  headers: Record<string, string | number>,
) {
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1').setNoDelay()
  const head = { Host: 'localhost', Connection: 'close', ...headers }
  const lines = Object.entries(head).map(([name, value]) => `${name}: ${value}\r\n`)
  for (const piece of [`POST / HTTP/1.1\r\n${lines.join('')}\r\n`, ...pieces]) {
    socket.write(piece)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  return socket
}

async function post(pieces: readonly Buffer[], headers: Record<string, string | number> = {}) {
  const length = Buffer.concat(pieces).length
  const plain = { 'Content-Type': 'application/json', 'Content-Length': length }
  const answer = await text(await send(pieces, { ...plain, ...headers }))
  return JSON.parse(answer.slice(answer.indexOf('\r\n\r\n')))
}

/** Each is read by express.json too, to the same end. */
const ways = [
  ['plain', {}],
  ['by express.json', { 'Content-Type': 'application/json; charset=utf-8' }],
] as const

test.each(ways)('a body in pieces, cut within a character, %s', async (_name, headers) => {
  const body = Buffer.from(JSON.stringify({ a: '€ 😀' }))
  const pieces = [body.subarray(0, 7), body.subarray(7, 12), body.subarray(12)]
  expect(await post(pieces, headers)).toEqual({ body: { a: '€ 😀' } })
})

test.each(ways)('a byte order mark is ignored, %s', async (_name, headers) => {
  expect(await post([Buffer.from('\ufeff{"a":1}')], headers)).toEqual({ body: { a: 1 } })
})

test.each(ways)('what is wrong is said in the same words, %s', async (_name, headers) => {
  const refused = async (body: string) => (await post([Buffer.from(body)], headers)).type
  expect(await refused('{"a":')).toBe('entity.parse.failed')
  expect(await refused(`[${'1,'.repeat(101)}1]`)).toBe('entity.too.many')
  expect(await refused(`"${'x'.repeat(MAX_BYTES)}"`)).toBe('entity.too.large')
})

test.each(ways)('a client that leaves in the middle, %s', async (_name, headers) => {
  passedOn.length = 0
  const plain = { 'Content-Type': 'application/json', 'Content-Length': 50 }
  const socket = await send(['{"a":'], { ...plain, ...headers })
  socket.destroy()
  await expect
    .poll(() => passedOn)
    .toEqual([expect.objectContaining({ type: 'request.aborted', status: 400 })])
})
