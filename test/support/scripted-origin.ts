/** Stands where Anthropic does and answers byte for byte as a test says, faults included. */

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'

export type Asked = {
  method: string
  url: string
  rawHeaders: string[]
  headers: IncomingMessage['headers']
  body: Buffer
}

type Answerer = (res: ServerResponse, asked: Asked) => void | Promise<void>

export type ScriptedOrigin = Awaited<ReturnType<typeof startScriptedOrigin>>

export async function startScriptedOrigin() {
  const asked: Asked[] = []
  const scripted: Answerer[] = []
  const server = createServer(async (req, res) => {
    // A client that leaves is no fault of the server.
    req.on('error', () => {})
    res.on('error', () => {})
    const body = await buffer(req).catch(() => Buffer.alloc(0))
    const { method = '', url = '', rawHeaders, headers } = req
    const one = { method, url, rawHeaders, headers, body }
    asked.push(one)
    const answer = scripted.shift()
    if (answer === undefined) res.writeHead(500).end('not scripted')
    else await answer(res, one)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    /** Every request that arrived whole, oldest first. */
    asked,
    /** How the next requests are answered, one each. */
    script: (...answers: Answerer[]) => void scripted.push(...answers),
    async close(): Promise<void> {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
