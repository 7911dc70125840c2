/** Stands between a client and a PostgreSQL server, and can fall silent like a broken network. */

import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

export type PausableProxy = {
  url: string
  /** Connections stay open, and new ones are accepted, but nothing gets through any more. */
  pause(): void
  /** Ends every connection, and new ones at once, as a server that is down does. */
  cut(): void
  /** For new connections; what was sent in the silence is lost. */
  resume(): void
  close(): Promise<void>
}

export async function startPausableProxy(upstreamUrl: string): Promise<PausableProxy> {
  const upstream = new URL(upstreamUrl)
  const sockets = new Set<Socket>()
  let paused = false
  let down = false
  const server = createServer((client) => {
    if (down) return void client.destroy()
    const born = paused
    const target = connectTo(upstream)
    const link = (from: Socket, to: Socket) => {
      sockets.add(from)
      from.on('data', (chunk) => paused || born || to.write(chunk))
      from.on('error', () => {})
      from.on('close', () => to.destroy())
    }
    link(client, target)
    link(target, client)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = new URL(upstreamUrl)
  url.searchParams.delete('host')
  url.host = `127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    url: url.href,
    pause: () => {
      paused = true
    },
    cut: () => {
      down = true
      for (const socket of sockets) socket.destroy()
    },
    resume: () => {
      paused = false
      down = false
    },
    async close() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function connectTo(upstream: URL): Socket {
  const folder = upstream.searchParams.get('host')
  const port = upstream.port || '5432'
  return folder ? connect(`${folder}/.s.PGSQL.${port}`) : connect(Number(port), upstream.hostname)
}
