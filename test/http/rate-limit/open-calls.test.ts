import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import type { Response } from 'express'
import { expect, test } from 'vitest'
import { OpenCallLimit } from '../../../src/http/rate-limit/open-calls.ts'

/** A response of a real server, and a way to have its client leave. */
async function openResponse() {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
  socket.on('error', () => {}).write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  const [, res] = (await once(server, 'request')) as [unknown, ServerResponse]
  return {
    res: res as Response,
    async leave(): Promise<void> {
      const closed = once(res, 'close')
      socket.destroy()
      await closed
      server.close()
    },
  }
}

test('a call counts until its response is closed, for its own user only', async () => {
  const limit = new OpenCallLimit(1)
  const { res, leave } = await openResponse()
  limit.count('ada', res)
  expect(limit.refusal('ada')).toMatchObject({ code: 'rate_limited', retryAfterSeconds: 5 })
  expect(limit.refusal('bob')).toBeNull()
  await leave()
  expect(limit.refusal('ada')).toBeNull()
})

test('a call whose client has left already does not count for ever', async () => {
  const limit = new OpenCallLimit(1)
  const { res, leave } = await openResponse()
  await leave()
  limit.count('ada', res)
  expect(limit.refusal('ada')).toBeNull()
})
