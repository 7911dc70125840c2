/** A client that counts on its connection, while the server closes. */

import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import express from 'express'
import { afterEach, expect, test } from 'vitest'
import { type Listening, listen } from '../../src/http/listener/listen.ts'

/** More than any test takes. */
const LONG_SECONDS = 600

let listening: Listening | undefined
const lines: Socket[] = []
afterEach(() => {
  for (const line of lines.splice(0)) line.destroy()
  listening?.cut()
  listening = undefined
})

async function start(keptSeconds?: number) {
  const app = express()
  const held: (() => void)[] = []
  app.get('/held', (_req, res) => {
    res.writeHead(200, { Connection: 'keep-alive', 'Content-Type': 'text/event-stream' })
    res.write('begun\n')
    held.push(() => res.end('ended\n'))
  })
  app.get('/', (_req, res) => void res.json('here'))
  listening = await listen(app, { host: '127.0.0.1', port: 0, tls: undefined, keptSeconds })
  return { server: listening, end: () => held.splice(0).forEach((done) => void done()) }
}

/** One connection: what came on it so far, and whether it is closed. */
function openLine({ url }: Listening) {
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  lines.push(socket)
  const line = { socket, heard: '', isClosed: false, ask: (path: string) => ask(socket, path) }
  socket.on('error', () => {})
  socket.on('data', (chunk) => {
    line.heard += chunk
  })
  socket.on('close', () => {
    line.isClosed = true
  })
  return line
}

const ask = (socket: Socket, path: string) =>
  socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`)
const answersIn = (heard: string) => heard.split('"here"').length - 1

test('it is told for how long, and can ask once more on it', async () => {
  const { server } = await start(LONG_SECONDS)
  const line = openLine(server)
  line.ask('/')
  await expect.poll(() => answersIn(line.heard)).toBe(1)
  expect(line.heard).toMatch(/Keep-Alive: timeout=599\r\n/i)
  expect(line.heard).toMatch(/Connection: keep-alive\r\n/i)
  const closed = server.close({ inHurry: false })
  await expect(fetch(server.url)).rejects.toThrow()
  expect(line.isClosed).toBe(false)
  line.ask('/')
  await closed
  await expect.poll(() => line.isClosed).toBe(true)
  expect(answersIn(line.heard)).toBe(2)
  const [, last = ''] = line.heard.split('"here"')
  expect(last).toMatch(/Connection: close\r\n/i)
  expect(last).not.toMatch(/keep-alive/i)
})

test('so can one whose answer ended only then, and one that has not asked yet', async () => {
  const { server, end } = await start(LONG_SECONDS)
  const [late, silent] = [openLine(server), openLine(server)]
  await once(silent.socket, 'connect')
  late.ask('/held')
  await expect.poll(() => late.heard).toContain('begun')
  expect(late.heard).toMatch(/Keep-Alive: timeout=599\r\n/i)
  server.leave()
  const closed = server.close({ inHurry: false })
  end()
  await expect.poll(() => late.heard).toContain('ended')
  late.ask('/')
  silent.ask('/')
  await closed
  for (const line of [late, silent]) {
    await expect.poll(() => line.isClosed).toBe(true)
    expect(answersIn(line.heard)).toBe(1)
  }
})

test('two questions at once are both answered', async () => {
  const { server, end } = await start(LONG_SECONDS)
  const line = openLine(server)
  line.socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /held HTTP/1.1\r\nHost: a\r\n\r\n')
  await expect.poll(() => line.heard).toContain('begun')
  const closed = server.close({ inHurry: true })
  end()
  await closed
  await expect.poll(() => line.isClosed).toBe(true)
  expect(line.heard).toContain('ended')
})

test('when its time is over it is ended, and in a hurry at once', async () => {
  const { server } = await start(1)
  const line = openLine(server)
  line.ask('/')
  await expect.poll(() => answersIn(line.heard)).toBe(1)
  await server.close({ inHurry: false })
  expect(line.isClosed || (await once(line.socket, 'close'))).toBeTruthy()

  const { server: other } = await start(LONG_SECONDS)
  const [asked, silent] = [openLine(other), openLine(other)]
  await once(silent.socket, 'connect')
  asked.ask('/')
  await expect.poll(() => answersIn(asked.heard)).toBe(1)
  await other.close({ inHurry: true })
  for (const { isClosed, socket } of [asked, silent]) {
    expect(isClosed || (await once(socket, 'close'))).toBeTruthy()
  }
})

test('without a promise nothing is said', async () => {
  const { server } = await start()
  const response = await fetch(server.url)
  await response.text()
  expect(response.headers.get('keep-alive')).toBe('timeout=65')
  await server.close({ inHurry: true })
})
