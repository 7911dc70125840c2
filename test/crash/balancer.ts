import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

export type Balancer = { url: string; close(): Promise<void> }

/**
 * A plain TCP balancer: each connection goes to the next port in turn that accepts it. Knows
 * nothing of HTTP, of health or of sessions.
 */
export async function startBalancer(ports: readonly number[]): Promise<Balancer> {
  const sockets = new Set<Socket>()
  let turn = 0
  const keep = (socket: Socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(socket))
  }
  const server = createServer({ allowHalfOpen: false }, async (client) => {
    keep(client)
    client.pause()
    turn += 1
    const target = await firstOpen(ports.map((_, i) => ports[(turn + i) % ports.length] as number))
    if (!target || client.destroyed) {
      target?.destroy()
      return void client.destroy()
    }
    keep(target)
    client.on('close', () => target.destroy())
    target.on('close', () => client.destroy())
    client.pipe(target).pipe(client)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

async function firstOpen(ports: readonly number[]): Promise<Socket | undefined> {
  for (const port of ports) {
    const socket = await opened(port)
    if (socket) return socket
  }
  return undefined
}

function opened(port: number): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => resolve(socket))
    socket.once('error', () => resolve(undefined))
  })
}
