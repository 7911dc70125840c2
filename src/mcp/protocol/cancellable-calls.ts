import { AppError } from '../../errors.ts'
import type { RequestIdentity } from '../run-tool.ts'

/**
 * Tool calls in progress in this process, so that a `notifications/cancelled` finds its call.
 *
 * Without MCP sessions the notification comes as a separate request and names no connection. It is
 * matched by the token's session and the request id. Clients may share a token, and each counts its
 * ids from the same number: when more than one call matches, none is cancelled.
 */
export class CancellableCalls {
  readonly #running = new Map<string, Set<AbortController>>()

  async run<T>(
    requestId: string | number,
    asker: RequestIdentity,
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const controller = new AbortController()
    const key = keyOf(requestId, asker)
    if (key === undefined) return work(controller.signal)
    const sameKey = this.#running.get(key) ?? new Set()
    this.#running.set(key, sameKey.add(controller))
    try {
      return await work(controller.signal)
    } finally {
      sameKey.delete(controller)
      if (sameKey.size === 0) this.#running.delete(key)
    }
  }

  /** Does nothing unless the body is a `notifications/cancelled`. */
  cancelNamedBy(body: unknown, asker: RequestIdentity): void {
    const requestId = cancelledRequestId(body)
    const key = requestId === undefined ? undefined : keyOf(requestId, asker)
    const candidates = key === undefined ? undefined : this.#running.get(key)
    if (candidates?.size !== 1) return
    for (const controller of candidates) controller.abort(cancelledByClient())
  }
}

function keyOf(requestId: string | number, { caller }: RequestIdentity): string | undefined {
  return caller ? `${caller.sessionId}/${typeof requestId}/${requestId}` : undefined
}

function cancelledRequestId(body: unknown): string | number | undefined {
  const { method, params } = (body ?? {}) as { method?: unknown; params?: { requestId?: unknown } }
  if (method !== 'notifications/cancelled') return undefined
  const requestId = params?.requestId
  return typeof requestId === 'string' || typeof requestId === 'number' ? requestId : undefined
}

const cancelledByClient = () => new AppError('cancelled', 'The client cancelled this call.')
