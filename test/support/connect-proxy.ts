/** An HTTP proxy on loopback that opens tunnels (RFC 9110, section 9.3.6), and knows names nobody else does. */

import { createServer } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'

/**
 * Where a tunnel to a host and port leads: a port of this machine, or the status of its refusal. Or it
 * is never said, as of a host that does not answer.
 */
export type Way = { port: number } | { status: number } | 'never said'

export type ConnectProxy = {
  url: string
  /** What tunnels were asked for to, `host:port`, and with which credentials, oldest first. */
  asked: { to: string; credentials: string | undefined; headers: Record<string, unknown> }[]
  close(): Promise<void>
}

export async function startConnectProxy(
  wayTo: (to: string, credentials: string | undefined) => Way,
): Promise<ConnectProxy> {
  const asked: ConnectProxy['asked'] = []
  const sockets = new Set<Socket>()
  const server = createServer((_req, res) => res.writeHead(405).end())
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  server.on('connect', ({ url: to = '', headers }, client: Socket, head: Buffer) => {
    const basic = /^Basic (.+)$/.exec(headers['proxy-authorization'] ?? '')?.[1]
    const credentials = basic === undefined ? undefined : Buffer.from(basic, 'base64').toString()
    asked.push({ to, credentials, headers })
    client.on('error', () => client.destroy())
    const way = wayTo(to, credentials)
    if (way === 'never said') return
    if ('status' in way) {
      client.end(`HTTP/1.1 ${way.status} Not now\r\ncontent-length: 0\r\n\r\n`)
      return
    }
    const target = connect(way.port, '127.0.0.1', () => {
      client.write('HTTP/1.1 200 Connection established\r\n\r\n')
      target.write(head)
      target.pipe(client).pipe(target)
    })
    target.on('error', () => client.destroy())
    client.on('close', () => target.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        for (const socket of sockets) socket.destroy()
      }),
  }
}
