/** Follows an answer, whether this process or another one generates it. */

import { settledWithin } from '../../../concurrency/timeouts.ts'
import { AppError } from '../../../errors.ts'
import type { Repositories, Transact } from '../../../repositories/index.ts'
import type { StoredAnswer } from '../../../repositories/turns/answers.ts'
import { holdSession, reachOf, sessionEnded } from '../../access/authority.ts'
import type { Caller } from '../../access/caller.ts'
import type { AnnouncedRead } from '../../access/read-ahead.ts'
import type { SessionWatch } from '../../access/session-watch.ts'
import { toPaidBy } from '../../billing/paid-by.ts'
import { textOf, type Vault } from '../../keys/vault.ts'
import {
  type Attribution,
  asReadBy,
  emptyReceipt,
  fromStored,
  type SendReceipt,
} from '../receipt.ts'
import type { FollowOptions } from '../turn.ts'
import type { AnswerSignals } from './answer-events.ts'
import type { RunningAnswers } from './running-answers.ts'

/** The current state of an answer: finished, given up, or the text so far. */
export type AnswerView = SendReceipt & Attribution & { content: string; errorCode: string | null }

type Deps = {
  repositories: Pick<Repositories, 'answerNotices' | 'answers' | 'conversations'>
  transact: Transact<'answers' | 'authority'>
  running: RunningAnswers
  watch: SessionWatch
  signals: AnswerSignals
  vault: Vault
}

/** Poll interval for another process's answer while no signal comes. */
const POLL_MS = 1000
/** How long a cancel waits for the answer's process to write its end. */
const CANCEL_WAIT_SECONDS = 5

/** What `get` reads first. */
export const readsAnswer = (messageId: string): AnnouncedRead<'answer'> => ({
  name: 'answer',
  asked: { messageId },
})

export class AnswerService {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /**
   * The answer after `waitSeconds` at the latest; earlier when it ends, or when this process stops.
   * A timeout or an abort of `signal` ends only the wait, not the answer.
   *
   * @throws AppError not_found, also when the message is another user's, is in a conversation that
   *   the caller's session does not reach, or is not an answer; unauthenticated when the session
   *   ends during the wait.
   */
  async get(caller: Caller, answerId: string, options: FollowOptions): Promise<AnswerView> {
    const row = await this.#find(caller, answerId)
    const view = this.#toView(row)
    if (view.status !== 'running') return view
    return this.#deps.watch.during(
      caller,
      options.onText,
      ({ ended, onText }) => {
        const signal = AbortSignal.any([options.signal, ended])
        const load = () => this.#look(caller, answerId)
        return this.#follow(view, { ...options, signal, onText, load })
      },
      row.isOthers ? () => this.#maySee(caller, row) : undefined,
    )
  }

  #maySee({ userId }: Caller, { conversation }: StoredAnswer): Promise<boolean> {
    return this.#deps.repositories.conversations.isReadable(conversation.id, userId)
  }

  async #follow(
    first: AnswerView,
    { load, ...options }: FollowOptions & { load: () => Promise<AnswerView> },
  ): Promise<AnswerView> {
    const until = performance.now() + options.waitSeconds * 1000
    let view = first
    while (view.status === 'running') {
      options.onText?.(view.content)
      const leftMs = until - performance.now()
      if (leftMs <= 0 || options.signal.aborted || this.#deps.running.isStopping) break
      await this.#wait(view.messageId, leftMs, options)
      view = await load()
    }
    return view
  }

  /**
   * Asks the process that generates the answer to stop, and waits briefly for its end. An answer
   * that has already ended stays as it is.
   *
   * @throws AppError not_found and unauthenticated like {@link get}; forbidden when the caller
   *   neither sent it nor owns the conversation.
   */
  async cancel(caller: Caller, answerId: string, signal: AbortSignal): Promise<AnswerView> {
    const view = await this.#look(caller, answerId)
    if (view.status !== 'running') return view
    await this.#deps.transact(async ({ authority, answers }) => {
      await holdSession({ authority }, caller, ['messages:send'])
      if (!(await answers.requestCancel(answerId, caller.userId))) throw anothersAnswer()
    })
    await this.tellToStop(answerId)
    return this.get(caller, answerId, { waitSeconds: CANCEL_WAIT_SECONDS, signal })
  }

  /** The same for an account that is being deleted, without a caller. */
  async stop(userId: string, answerId: string): Promise<void> {
    const load = async () => {
      const row = await this.#deps.repositories.answers.find(answerId, userId)
      if (!row) throw answerNotFound()
      return this.#toView(row)
    }
    await this.#deps.repositories.answers.requestCancel(answerId, userId)
    await this.tellToStop(answerId)
    const { signal } = new AbortController()
    await this.#follow(await load(), { waitSeconds: CANCEL_WAIT_SECONDS, signal, load })
  }

  /** Tells the process that generates the answer, once a cancel is requested. */
  async tellToStop(answerId: string): Promise<void> {
    await this.#deps.repositories.answerNotices.tell('cancel', [answerId])
    this.#deps.running.cancel(answerId)
  }

  async #wait(answerId: string, leftMs: number, { signal, onText }: FollowOptions): Promise<void> {
    const local = this.#deps.running.find(answerId)
    if (!local) return this.#deps.signals.finished(answerId, Math.min(leftMs, POLL_MS))
    const stop = local.answer.onText(onText)
    await settledWithin(local.done, leftMs, signal)
    stop()
  }

  /** Reads the answer and checks the caller's access in one statement. */
  async #find(caller: Caller, answerId: string): Promise<StoredAnswer> {
    const ahead = caller.readAhead?.take(readsAnswer(answerId))
    const { answers } = this.#deps.repositories
    const row = ahead ? ahead.answer : await answers.findReached(answerId, reachOf(caller))
    if (row === undefined) throw sessionEnded([caller.kind])
    if (row === null) throw answerNotFound()
    return row
  }

  async #look(caller: Caller, answerId: string): Promise<AnswerView> {
    return this.#toView(await this.#find(caller, answerId))
  }

  #toView(row: StoredAnswer): AnswerView {
    const vault = this.#deps.vault.openConversation(row.conversation)
    const stored = row.content === null ? '' : textOf(vault.openContent(row.id, row.content))
    const local = row.status === 'running' ? this.#deps.running.find(row.id) : undefined
    const { receipt: kept, errorCode, sender, isSenders: isSender } = row
    const receipt =
      kept === null
        ? emptyReceipt({ ...row, conversationId: row.conversation.id })
        : fromStored(vault, { ...row, receipt: kept })
    return {
      ...asReadBy(receipt, { isSender, isOwner: !row.isOthers }),
      sender,
      paidBy: toPaidBy(row),
      content: local?.answer.textSoFar ?? stored,
      errorCode,
    }
  }
}

const anothersAnswer = () =>
  new AppError(
    'forbidden',
    'Only the sender of this message, or the owner of the conversation, may cancel its answer.',
  )

const answerNotFound = () =>
  new AppError('not_found', 'You have no answer with this message_id.', {
    onPages: 'You have no such answer.',
    details: { field: 'message_id' },
  })
