/** Lets single requests take longer than the server's time limit for receiving a request. */

import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

const long = new WeakSet<Socket>()

/** For a handler that limits the time of its body itself. Until the response is closed. */
export function allowLongRequest({ socket }: IncomingMessage, res: ServerResponse): void {
  long.add(socket)
  res.once('close', () => long.delete(socket))
}

/**
 * Node tells of a late request by `clientError`, and answers it with 408 unless a listener does.
 * It tells only once, so a request that is spared here is not cut later either.
 */
export function spareLongRequests(server: Server): void {
  const emit = server.emit.bind(server) as (event: string, ...args: unknown[]) => boolean
  server.emit = (event: string, ...args: unknown[]) => {
    const [error, socket] = args as [{ code?: unknown }, Socket]
    const isSpared = event === 'clientError' && isLate(error) && long.has(socket)
    return isSpared || emit(event, ...args)
  }
}

const isLate = ({ code }: { code?: unknown }) => code === 'ERR_HTTP_REQUEST_TIMEOUT'
