/** Requests and responses are born as Express's own, on every version of Node.js this runs on. */

import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { IncomingMessage, ServerResponse } from 'node:http'
import { connect } from 'node:net'
import { setFlagsFromString } from 'node:v8'
import express from 'express'
import { afterEach, expect, test } from 'vitest'
import { type Listening, listen } from '../../../src/http/listener/listen.ts'
import { listenProblem } from '../../../src/http/listener/listen-problem.ts'
import { isLinux } from '../../support/left-out.ts'

let listening: Listening | undefined
afterEach(() => {
  listening?.cut()
  listening = undefined
})

test('Express finds its prototypes already there, and nothing is missing of Node’s', async () => {
  const app = express()
  app.set('trust proxy', 1)
  app.use(express.json())
  app.post('/here', (req, res) => {
    res.set('X-Kind', req.is('json') || 'none')
    res.json({ ip: req.ip, query: req.query.a, body: req.body, host: req.hostname })
  })
  const seen: object[] = []
  const born = Object.assign(
    (req: IncomingMessage, res: ServerResponse) => {
      seen.push(Object.getPrototypeOf(req), Object.getPrototypeOf(res))
      expect(req).toBeInstanceOf(IncomingMessage)
      expect(res).toBeInstanceOf(ServerResponse)
      app(req, res)
    },
    { request: app.request, response: app.response },
  )
  listening = await listen(born, { host: '127.0.0.1', port: 0, tls: undefined })
  Object.assign(app, { request: born.request, response: born.response })
  for (const round of [1, 2]) {
    const response = await fetch(`${listening.url}/here?a=${round}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-forwarded-for': '198.51.100.7' },
      body: JSON.stringify({ round }),
    })
    expect(response.headers.get('x-kind')).toBe('json')
    expect(await response.json()).toEqual({
      ip: '198.51.100.7',
      query: String(round),
      body: { round },
      host: '127.0.0.1',
    })
  }
  expect(seen).toEqual([app.request, app.response, app.request, app.response])
  expect(seen[0]).toBe(app.request)
  expect(seen[1]).toBe(app.response)
})

test.runIf(isLinux('silent connections'))(
  'a connection on which nothing is said is probed, so that it is not forgotten',
  async () => {
    listening = await listen(express(), { host: '127.0.0.1', port: 0, tls: undefined })
    const port = Number(new URL(listening.url).port)
    const client = connect(port, '127.0.0.1')
    await once(client, 'connect')
    // The kernel's table: own address, the other's, state 1 (established), queues, timer 2 (probe).
    const own = `0100007F:${port.toString(16).toUpperCase().padStart(4, '0')}`
    const probed = new RegExp(`: ${own} \\w+:\\w+ 01 \\w+:\\w+ 02:`)
    await expect.poll(() => readFileSync('/proc/self/net/tcp', 'latin1')).toMatch(probed)
    client.destroy()
  },
)

test('requests and responses keep their fields where V8 finds them at once', async () => {
  setFlagsFromString('--allow-natives-syntax')
  const isFast = new Function('object', 'return %HasFastProperties(object)')
  setFlagsFromString('--no-allow-natives-syntax')
  const app = express()
  app.post('/here', express.json(), (req, res) => {
    res.json([isFast(req), isFast(res)])
  })
  listening = await listen(app, { host: '127.0.0.1', port: 0, tls: undefined })
  const response = await fetch(`${listening.url}/here`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{}',
  })
  expect(await response.json()).toEqual([true, true])
})

test.each([
  ['192.0.2.1', /EADDRNOTAVAIL.*no such address; set HOST to one that it has/],
  ['no-such-machine.invalid', /(ENOTFOUND|EAI_AGAIN).*this name.*; set HOST to an address/i],
])('%s cannot be listened on, and the setting is named', async (host, told) => {
  await expect(listen(express(), { host, port: 0, tls: undefined })).rejects.toThrow(told)
})

test.each([
  ['EADDRINUSE', 'set PORT.'],
  ['EACCES', 'set PORT to one from 1024 up.'],
  ['EAFNOSUPPORT', 'set HOST to an address like 127.0.0.1'],
  ['EAI_AGAIN', 'set HOST to an address, like 127.0.0.1'],
])('%s names the setting', (code, told) => {
  const error = Object.assign(new Error(`listen ${code}`), { code })
  expect(listenProblem(error).message).toMatch(new RegExp(`^listen ${code}\\. .*${told}`))
})

test('what is not known is told as it is', () => {
  const error = Object.assign(new Error('listen EIO'), { code: 'EIO' })
  expect(listenProblem(error)).toBe(error)
})
