/** What stands between the gateway and Claude: passes everything on, or does with answers as it is told. */

import { once } from 'node:events'
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  request,
  type ServerResponse,
} from 'node:http'
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
    const answer = await ask(new URL(`${targetUrl()}${path}`), { method, headers }, body)
    deed(answer, res)
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

/** Over a connection of its own, and not by fetch, whose connections all tests of a process share. */
async function ask(
  url: URL,
  { method, headers }: { method: string; headers: IncomingHttpHeaders },
  body: Buffer,
): Promise<Answer> {
  const asking = request(url, { method, headers, agent: false })
  asking.end(body)
  const [response] = (await once(asking, 'response')) as [IncomingMessage]
  const {
    'content-length': _length,
    'transfer-encoding': _coding,
    connection: _connection,
    'keep-alive': _keepAlive,
    ...given
  } = response.headers
  return {
    status: response.statusCode ?? 0,
    headers: Object.fromEntries(
      Object.entries(given).map(([name, value]) => [name, String(value)]),
    ),
    body: await buffer(response),
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
