import type { Server } from 'node:http'
import type { Socket } from 'node:net'

/** The two fields of Node's TCP handle and socket that show whether bytes are being sent. */
type SendingSocket = Socket & { _handle?: { writeQueueSize?: number } | null }

type Watched = { delivered: number; since: number }

/** How many times per stall timeout the connections are checked. */
const LOOKS_PER_STALL = 6

/**
 * Closes connections whose peer reads nothing of the queued data for `stallMs`, since that data is
 * held in our memory. A connection with nothing queued may be idle for any time.
 *
 * Node's own timeouts do not detect this: each write counts as activity, even one that only makes
 * the queue longer. Bytes delivered are bytes written minus those queued in JavaScript and in the
 * handle; over TLS the underlying plain socket has both figures.
 */
export function cutSlowReaders(server: Server, stallMs: number): void {
  const watched = new Map<SendingSocket, Watched>()
  server.on('connection', (socket: SendingSocket) => {
    watched.set(socket, { delivered: 0, since: performance.now() })
    socket.on('close', () => watched.delete(socket))
  })
  const look = () => {
    const now = performance.now()
    for (const [socket, known] of watched) {
      const { waiting, delivered } = sendingOf(socket)
      const isStalled = waiting > 0 && delivered === known.delivered
      if (!isStalled) watched.set(socket, { delivered, since: now })
      else if (now - known.since >= stallMs) socket.destroy()
    }
  }
  const timer = setInterval(look, stallMs / LOOKS_PER_STALL).unref()
  server.on('close', () => clearInterval(timer))
}

function sendingOf(socket: SendingSocket) {
  const waiting = socket.writableLength + (socket._handle?.writeQueueSize ?? 0)
  return { waiting, delivered: socket.bytesWritten - waiting }
}
