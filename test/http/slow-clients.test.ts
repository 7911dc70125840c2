/** Clients that take their time: with what they send, and with what they are sent. */

import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect as connectTls } from 'node:tls'
import express from 'express'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Listening, listen } from '../../src/http/listener/listen.ts'
import { jsonBody } from '../../src/http/mcp/json-body.ts'
import { makeCertificate } from '../support/certificate.ts'

/** A hundredth of what is true, and still long on a busy machine. */
const TIMEOUT_MS = 1500
/** More than the system takes into its own buffers. */
const MUCH = 'x'.repeat(24_000_000)

let folder: string
let listening: Listening
let sockets: Socket[]
/** Paths whose responses ended. */
let ends: string[]

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gateway-slow-clients-'))
  sockets = []
  ends = []
})
afterEach(async () => {
  for (const socket of sockets) socket.destroy()
  const closed = listening.close()
  listening.cut()
  await closed
  await rm(folder, { recursive: true, force: true })
})

async function serve({ isTls = false } = {}) {
  const app = express()
  app.post('/', jsonBody(10_000_000, 1000), (_req, res) => void res.json({}))
  app.get('/much', (_req, res) => {
    res.on('close', () => ends.push('/much'))
    res.end(MUCH)
  })
  app.get('/fed', (req, res) => {
    res.on('close', () => ends.push(req.path))
    // Each write is activity to Node's own timeouts.
    const feeding = setInterval(() => res.write('x'.repeat(100_000)), 50)
    res.on('close', () => clearInterval(feeding))
  })
  app.get('/silent', (req, res) => {
    res.on('close', () => ends.push(req.path))
    res.write('begun')
  })
  const tls = isTls
    ? { certFile: join(folder, 'cert.pem'), keyFile: join(folder, 'key.pem') }
    : undefined
  if (tls) await makeCertificate(tls.certFile, tls.keyFile)
  const timeouts = { receiveTimeoutMs: TIMEOUT_MS, sendTimeoutMs: TIMEOUT_MS }
  listening = await listen(app, { host: '127.0.0.1', port: 0, tls, ...timeouts })
}

async function open(): Promise<Socket> {
  const { port: text, protocol } = new URL(listening.url)
  const port = Number(text)
  const isTls = protocol === 'https:'
  const socket = isTls
    ? connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false })
    : connect(port, '127.0.0.1')
  sockets.push(socket)
  socket.on('error', () => {})
  await once(socket, isTls ? 'secureConnect' : 'connect')
  return socket
}

/** What the system had taken before the connection was cut. */
async function bytesLeftOf(socket: Socket): Promise<number> {
  let bytes = 0
  socket.on('data', (piece) => {
    bytes += piece.length
  })
  const closed = closeOf(socket)
  socket.resume()
  await closed
  return bytes
}

/** Also by a reset, which is an error to `once` and `for await`: the gateway leaves data unread. */
const closeOf = (socket: Socket) =>
  new Promise<void>((resolve) => socket.once('close', () => resolve()))

const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`

describe('a body that does not come', () => {
  test.each([
    ['at all', ''],
    ['to its end', '{"a":'],
  ])('%s is 408, and its connection ends', async (_how, begun) => {
    await serve()
    const socket = await open()
    const head = 'POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n'
    socket.write(`${head}Content-Length: 100\r\n\r\n${begun}`)
    let answer = ''
    for await (const piece of socket) answer += piece
    expect(answer).toMatch(/^HTTP\/1\.1 408 /)
  })

  test('in more than crumbs is not taken', async () => {
    await serve()
    const socket = await open()
    const head = 'POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n'
    socket.write(`${head}Transfer-Encoding: chunked\r\n\r\n`)
    socket.write('1\r\n \r\n'.repeat(100_000))
    socket.end('2\r\n{}\r\n0\r\n\r\n')
    let answer = ''
    socket.on('data', (piece) => {
      answer += piece
    })
    await closeOf(socket)
    expect(answer).not.toContain('200 OK')
  })

  test('and a body in a thousand small pieces is', async () => {
    await serve()
    const socket = await open()
    const head = 'POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n'
    socket.write(`${head}Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n`)
    socket.write('1\r\n \r\n'.repeat(1000))
    socket.write('2\r\n{}\r\n0\r\n\r\n')
    let answer = ''
    for await (const piece of socket) answer += piece
    expect(answer).toContain('200 OK')
  })
})

describe.each([
  ['plain', false],
  ['over TLS', true],
])('a response, %s,', (_name, isTls) => {
  test('that its client does not take is cut', async () => {
    await serve({ isTls })
    const socket = await open()
    socket.pause().write(get('/much'))
    await expect.poll(() => ends).toEqual(['/much'])
    expect(await bytesLeftOf(socket)).toBeLessThan(MUCH.length)
  })

  test('that grows while its client takes nothing is cut, too', async () => {
    await serve({ isTls })
    const socket = await open()
    socket.pause().write(get('/fed'))
    await expect.poll(() => ends).toEqual(['/fed'])
  })

  test('that its client takes slowly is not cut', async () => {
    await serve({ isTls })
    const socket = await open()
    let taken = 0
    socket.on('data', (piece) => {
      taken += piece.length
    })
    socket.write(get('/much'))
    // Longer than the timeout altogether, and each pause is much shorter.
    const startedAt = performance.now()
    while (performance.now() - startedAt < 3 * TIMEOUT_MS) {
      socket.resume()
      await sleep(5)
      socket.pause()
      await sleep(100)
    }
    socket.resume()
    await expect.poll(() => taken).toBeGreaterThanOrEqual(MUCH.length)
  })

  test('that has nothing to say for long is not cut', async () => {
    await serve({ isTls })
    const socket = await open()
    socket.pause().write(get('/silent'))
    await sleep(3 * TIMEOUT_MS)
    expect(ends).toEqual([])
  })
})
