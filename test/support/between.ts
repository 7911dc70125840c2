/** What stands between the gateway and Claude: passes everything on, or does with answers as it is told. */

import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'

export type Answer = { status: number; headers: Record<string, string>; body: Buffer }
/** Gives `answer` to whoever asked, in its own way. */
export type Deed = (answer: Answer, res: ServerResponse) => void

/** @param targetUrl asked each time. */
export async function startBetween(targetUrl: () => string) {
  const asked: { path: string; headers: IncomingHttpHeaders }[] = []
  let deed: Deed = passOn
  let closed = 0
  const server = createServer(async (req, res) => {
    const { method = 'GET', url: path = '/' } = req
    asked.push({ path, headers: req.headers })
    res.on('close', () => {
      if (!res.writableFinished) closed += 1
    })
    const body = await buffer(req)
    const { host: _host, connection: _connection, ...headers } = req.headers
    const answer = await fetch(`${targetUrl()}${path}`, {
      method,
      headers: headers as Record<string, string>,
      ...(method === 'GET' ? {} : { body }),
    })
    const given = Object.fromEntries(answer.headers)
    delete given['content-length']
    delete given['transfer-encoding']
    delete given.connection
    delete given['keep-alive']
    const whole = Buffer.from(await answer.arrayBuffer())
    deed({ status: answer.status, headers: given, body: whole }, res)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    /** Until it is told otherwise. */
    does(other: Deed = passOn): void {
      deed = other
    },
    /** Answers that were broken off by whoever had asked. */
    closed: () => closed,
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

export function passOn({ status, headers, body }: Answer, res: ServerResponse): void {
  res.writeHead(status, headers).end(body)
}

/** Answers in Claude's place, which has been asked all the same. */
export const says =
  (status: number, body: string, headers: Record<string, string> = {}): Deed =>
  (_answer, res) => {
    res.writeHead(status, { 'content-type': 'text/html', ...headers }).end(body)
  }
