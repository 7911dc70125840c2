/** Bodies that take longer than other requests may, and those that take for ever. */

import { request } from 'node:http'
import { connect } from 'node:net'
import express, { type Express } from 'express'
import { afterEach, expect, test } from 'vitest'
import { toAppError } from '../../../src/errors.ts'
import { BodyBudget } from '../../../src/http/bodies/body-budget.ts'
import { longBody, type Pace } from '../../../src/http/bodies/long-body.ts'
import { type Listening, listen } from '../../../src/http/listener/listen.ts'
import { readApiBody } from '../../../src/http/messages/request-body.ts'

const RECEIVE_MS = 300
let listening: Listening | undefined
afterEach(async () => {
  listening?.cut()
  await listening?.close()
})

async function serve(pace?: Pace): Promise<URL> {
  const app: Express = express()
  app.put('/long', async (req, res) => {
    let bytes = 0
    try {
      for await (const piece of longBody(req, res, pace)) bytes += piece.length
      res.json({ bytes })
    } catch (error) {
      res.status(400).json({ code: toAppError(error).code })
    }
  })
  const room = { processBytes: 1e6, strangersBytes: 0, userBytes: 1e6, addressBytes: 0 }
  const rooms = {
    budget: new BodyBudget(room),
    memory: { refuseWhenShort: () => {} },
    ...(pace && { pace }),
  }
  app.put('/whole', async (req, res) => {
    try {
      const { bytes } = await readApiBody(req, res, rooms, 'ada')
      res.json({ bytes: bytes.length })
    } catch (error) {
      res.status(400).json({ code: toAppError(error).code })
    }
  })
  app.put('/usual', (req, res) => {
    req.resume().on('end', () => res.end())
  })
  const options = { host: '127.0.0.1', port: 0, tls: undefined, receiveTimeoutMs: RECEIVE_MS }
  listening = await listen(app, options)
  return new URL(listening.url)
}

/** Sends the pieces with pauses in between. @returns the status and body, or the error's code. */
function send(url: URL, path: string, pieces: number, pauseMs: number): Promise<string> {
  return new Promise((resolve) => {
    const asked = request(new URL(path, url), { method: 'PUT' }, (answer) => {
      let text = ''
      answer.setEncoding('utf8').on('data', (piece: string) => {
        text += piece
      })
      answer.on('end', () => resolve(`${answer.statusCode} ${text}`))
    })
    asked.on('error', (error) => resolve((error as { code?: string }).code ?? 'error'))
    let left = pieces
    const next = () => {
      if (asked.destroyed || left-- === 0) return asked.end()
      asked.write('x'.repeat(1000))
      setTimeout(next, pauseMs)
    }
    next()
  })
}

test('a long body may take longer than any other request', async () => {
  const url = await serve()
  const [long, whole, usual] = await Promise.all([
    send(url, '/long', 12, 100),
    send(url, '/whole', 12, 100),
    send(url, '/usual', 12, 100),
  ])
  expect([long, whole]).toEqual(Array(2).fill('200 {"bytes":12000}'))
  expect(usual).toMatch(/^(?:408 |ECONNRESET|EPIPE)/)
})

test.each(['/long', '/whole'])('a sender that is too slow is answered: %s', async (path) => {
  const url = await serve({ graceMs: 200, slowestBytesPerSecond: 1_000_000 })
  expect(await send(url, path, 20, 100)).toBe('400 {"code":"invalid_input"}')
})

test('the time that the reader takes does not count', async () => {
  const app: Express = express()
  app.put('/long', async (req, res) => {
    const pace = { graceMs: 250, slowestBytesPerSecond: 1_000_000 }
    let pieces = 0
    for await (const _ of longBody(req, res, pace)) {
      pieces += 1
      if (pieces === 1) await new Promise((resolve) => setTimeout(resolve, 1000))
    }
    res.end('read')
  })
  listening = await listen(app, { host: '127.0.0.1', port: 0, tls: undefined })
  expect(await send(new URL(listening.url), '/long', 3, 1)).toBe('200 read')
})

test('another request on the same connection has the usual time again', async () => {
  const url = await serve()
  const socket = connect(Number(url.port), url.hostname)
  let received = ''
  socket.setEncoding('utf8').on('data', (piece: string) => {
    received += piece
  })
  socket.write('PUT /long HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx')
  await expect.poll(() => received).toContain('{"bytes":1}')
  socket.write('PUT /usual HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nx')
  await expect.poll(() => received).toContain('408 Request Timeout')
  socket.destroy()
})
