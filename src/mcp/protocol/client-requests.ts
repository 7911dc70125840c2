import { randomUUID } from 'node:crypto'
import { AppError } from '../../errors.ts'
import type { InputRequest } from '../definitions/client-input.ts'
import type { RequestIdentity } from '../run-tool.ts'

/** A client that has not answered by then is not waited for. */
const ASK_MS = 300_000

type Waiting = {
  sessionId: string | undefined
  resolve(answer: unknown): void
  reject(error: unknown): void
}

type Send = (message: Record<string, unknown> & { jsonrpc: '2.0'; id: string }) => Promise<void>

/**
 * Requests to clients of revisions up to 2025-11-25 that wait for an answer in this process.
 *
 * Without MCP sessions the answer comes as a separate POST. It is matched by the random id of the
 * request and the token's session; one that reaches another replica is lost, and the request ends
 * by its time limit.
 */
export class ClientRequests {
  readonly #waiting = new Map<string, Waiting>()

  /** @throws AppError cancelled when the client refuses, or does not answer in five minutes. */
  async ask(
    send: Send,
    request: InputRequest,
    { caller }: RequestIdentity,
    signal: AbortSignal,
  ): Promise<unknown> {
    const id = randomUUID()
    const ended = AbortSignal.any([signal, AbortSignal.timeout(ASK_MS)])
    const answer = new Promise((resolve, reject) => {
      this.#waiting.set(id, { sessionId: caller?.sessionId, resolve, reject })
      ended.addEventListener('abort', () => reject(unanswered()), { once: true })
    })
    try {
      await send({ jsonrpc: '2.0', id, ...request })
      return await answer
    } finally {
      this.#waiting.delete(id)
    }
  }

  /** Does nothing unless the body answers a request that this caller was sent. */
  answerWith(body: unknown, { caller }: RequestIdentity): void {
    const { id, method, result, error } = Object(body) as Record<string, unknown>
    const waiting = method === undefined ? this.#waiting.get(String(id)) : undefined
    if (!waiting || waiting.sessionId !== caller?.sessionId) return
    if (result !== undefined) waiting.resolve(result)
    else if (error !== undefined) waiting.reject(unanswered())
  }
}

const unanswered = () => new AppError('cancelled', 'The client did not answer what it was asked.')
