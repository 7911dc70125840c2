import { once } from 'node:events'
import { type AddressInfo, connect, type Socket } from 'node:net'
import express from 'express'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { sendFile } from '../../src/http/send-file.ts'

const FILE = { type: 'json', name: 'file.json' }
const DEADLINE_MS = 500
const PIECE = 'x'.repeat(64 * 1024)

let server: ReturnType<ReturnType<typeof express>['listen']>
let isReaderLeft = false
beforeAll(async () => {
  const app = express()
  app.get('/', (_req, res) => sendFile(res, withoutEnd(), FILE, DEADLINE_MS))
  server = app.listen(0, '127.0.0.1')
  await once(server, 'listening')
})
afterAll(() => void server.close())

async function* withoutEnd() {
  try {
    for (;;) yield PIECE
  } finally {
    isReaderLeft = true
  }
}

/** Asks, and reads nothing. */
async function lazyReader(): Promise<Socket> {
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
  await once(socket, 'connect')
  socket.pause()
  socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n')
  return socket
}

test('a download that nobody reads is cut at its deadline, and what it held is let go', async () => {
  const socket = await lazyReader()
  const connections = () =>
    new Promise((resolve) => server.getConnections((_error, count) => resolve(count)))
  await expect.poll(connections).toBe(1)
  await expect.poll(() => isReaderLeft).toBe(true)
  await expect.poll(connections).toBe(0)
  socket.on('error', () => {}).destroy()
})
