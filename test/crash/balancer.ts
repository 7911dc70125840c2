import { get } from 'node:http'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

export type Balancer = { url: string; close(): Promise<void> }

const CHECK_EVERY_MS = 200
const CHECK_TIMEOUT_MS = 5000

/**
 * A TCP balancer: each connection goes to the next port in turn that said of itself that it is ready,
 * or else to one that accepts it. Knows nothing of requests or of sessions.
 */
export async function startBalancer(ports: readonly number[]): Promise<Balancer> {
  const sockets = new Set<Socket>()
  const checks = ports.map(watchReadiness)
  let turn = 0
  const keep = (socket: Socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(socket))
  }
  const inTurn = () => {
    turn += 1
    const next = ports.map((_, i) => (turn + i) % ports.length)
    const isReady = (i: number) => Number(checks[i]?.isReady)
    return next.sort((a, b) => isReady(b) - isReady(a)).map((i) => ports[i] as number)
  }
  const server = createServer({ allowHalfOpen: false }, async (client) => {
    keep(client)
    client.pause()
    const target = await firstOpen(inTurn())
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
      for (const check of checks) check.stop()
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function watchReadiness(port: number) {
  const check = { isReady: false, stop: () => clearTimeout(timer) }
  let timer: NodeJS.Timeout
  const look = async () => {
    check.isReady = await isReady(port)
    timer = setTimeout(look, CHECK_EVERY_MS)
  }
  timer = setTimeout(look, 0)
  return check
}

function isReady(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const options = { host: '127.0.0.1', port, path: '/readyz', timeout: CHECK_TIMEOUT_MS }
    const request = get({ ...options, agent: false }, (response) => {
      response.resume()
      resolve(response.statusCode === 200)
    })
    request.on('timeout', () => request.destroy())
    request.on('error', () => resolve(false))
  })
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
