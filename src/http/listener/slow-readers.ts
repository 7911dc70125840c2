import type { Server } from 'node:http'
import type { Socket } from 'node:net'

/** The two figures of Node's TCP handle and socket from which it can be seen whether bytes leave. */
type SendingSocket = Socket & { _handle?: { writeQueueSize?: number } | null }

type Watched = { delivered: number; since: number }

/** How often is looked, as a part of the time a peer has. */
const LOOKS_PER_STALL = 6

/**
 * Cuts connections that take nothing of what is waiting for them for `stallMs`: what waits is in our
 * memory. One that has nothing to get may be silent as long as it likes.
 *
 * Node's own timeouts do not do: each write counts as activity there, also one that only makes the
 * queue longer. What left is what was written less what still waits in JavaScript and in the handle;
 * over TLS the plain socket below has both figures.
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
