/** Following an answer, wherever it is generated: in this process or in another. */

import { AppError } from '../errors.ts'
import type { Repositories } from '../repositories/index.ts'
import type { AnswerSignals } from './answer-signals.ts'
import type { RunningAnswers } from './running-answers.ts'
import type { Caller } from './sessions.ts'
import { fromStored } from './turn-ending.ts'
import type { SendReceipt } from './turn-record.ts'
import { textOf, type Vault } from './vault.ts'

/** An answer as it stands: finished, given up, or so far. */
export type AnswerView = SendReceipt & { content: string; error_code: string | null }

export type FollowOptions = {
  waitSeconds: number
  signal: AbortSignal
  onText?: ((textSoFar: string) => void) | undefined
}

type Deps = {
  repositories: Pick<Repositories, 'answerNotices' | 'answers'>
  running: RunningAnswers
  signals: AnswerSignals
  vault: Vault
}

/** Between two looks at an answer of another process, when no signal comes. */
const POLL_MS = 1000
/** What cancelling waits for the answer's process to write its end. */
const CANCEL_WAIT_SECONDS = 5

export class AnswerService {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /**
   * The answer after `waitSeconds` at the latest; earlier when it ends, or when this process does.
   * Giving up the wait, by time or by `signal`, does nothing to the answer.
   *
   * @throws AppError not_found, also when the message is somebody else's or is not an answer.
   */
  async get(caller: Pick<Caller, 'userId'>, answerId: string, options: FollowOptions) {
    const until = performance.now() + options.waitSeconds * 1000
    let view = await this.#load(caller.userId, answerId)
    while (view.status === 'running') {
      options.onText?.(view.content)
      const leftMs = until - performance.now()
      if (leftMs <= 0 || options.signal.aborted || this.#deps.running.isStopping) break
      await this.#wait(answerId, leftMs, options)
      view = await this.#load(caller.userId, answerId)
    }
    return view
  }

  /**
   * Asks whichever process generates the answer to stop, and waits a moment for its end. An answer
   * that has ended already stays as it is.
   */
  async cancel(
    caller: Pick<Caller, 'userId'>,
    answerId: string,
    signal: AbortSignal,
  ): Promise<AnswerView> {
    const view = await this.#load(caller.userId, answerId)
    if (view.status !== 'running') return view
    const { answers, answerNotices } = this.#deps.repositories
    await answers.requestCancel(answerId, caller.userId)
    await answerNotices.tell('cancel', [answerId])
    this.#deps.running.cancel(answerId)
    return this.get(caller, answerId, { waitSeconds: CANCEL_WAIT_SECONDS, signal })
  }

  async #wait(answerId: string, leftMs: number, { signal, onText }: FollowOptions): Promise<void> {
    const local = this.#deps.running.find(answerId)
    if (!local) return this.#deps.signals.finished(answerId, Math.min(leftMs, POLL_MS))
    const stop = local.answer.onText(onText)
    await settledWithin(local.done, leftMs, signal)
    stop()
  }

  async #load(userId: string, answerId: string): Promise<AnswerView> {
    const row = await this.#deps.repositories.answers.find(answerId, userId)
    if (!row) throw answerNotFound()
    const vault = this.#deps.vault.openConversation({ ...row, id: row.conversationId })
    const stored = row.content === null ? '' : textOf(vault.openContent(row.id, row.content))
    const local = row.status === 'running' ? this.#deps.running.find(answerId) : undefined
    const receipt = row.result === null ? emptyReceipt(row) : fromStored(vault, row)
    return { ...receipt, content: local?.answer.textSoFar ?? stored, error_code: row.errorCode }
  }
}

/** Whether the promise settled, either way, before the time was over or the signal aborted. */
export async function settledWithin(
  promise: Promise<unknown>,
  ms: number,
  signal?: AbortSignal,
): Promise<'settled' | 'time'> {
  let giveUp = () => {}
  const time = new Promise<'time'>((resolve) => {
    const timer = setTimeout(resolve, ms, 'time')
    const onAbort = () => resolve('time')
    signal?.addEventListener('abort', onAbort, { once: true })
    if (signal?.aborted) onAbort()
    giveUp = () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
    }
  })
  const settled = promise.then(
    () => 'settled' as const,
    () => 'settled' as const,
  )
  return Promise.race([settled, time]).finally(giveUp)
}

/** For an answer that has no result, yet or for ever. */
export function emptyReceipt(row: {
  id: string
  conversationId: string
  status: SendReceipt['status']
  model: string
  requestId?: string | null
}): SendReceipt {
  return {
    conversation_id: row.conversationId,
    message_id: row.id,
    status: row.status,
    model: row.model,
    usage: null,
    cost_usd: null,
    stop_reason: null,
    stop_sequence: null,
    truncated: false,
    refused: false,
    refusal_category: null,
    request_id: row.requestId ?? null,
    history: null,
    warnings: [],
  }
}

const answerNotFound = () =>
  new AppError('not_found', 'You have no answer with this message_id.', {
    details: { field: 'message_id' },
  })
