/** Ends a turn, in one statement, before the caller gets the result. */

import type { ClaudeOutcome } from '../../claude/client.ts'
import type { PriceTable } from '../../claude/prices/prices.ts'
import { AppError } from '../../errors.ts'
import type { Repositories } from '../../repositories/index.ts'
import type { ConversationChanges } from '../../repositories/turns/finish-turns.ts'
import { WARN_FROM_PERCENT } from '../billing/budgets.ts'
import { toLedgerEntry, toSpent } from '../billing/settlement.ts'
import { UNTITLED } from '../conversations/title.ts'
import type { AnswerNotices } from './answers/answer-events.ts'
import {
  fromStored,
  type SendReceipt,
  type TurnTiming,
  toReceipt,
  toTurnEnd,
  withUsage,
} from './receipt.ts'
import type { SendMemory } from './remembered/send-memory.ts'
import type { StartedTurn } from './turn.ts'

type Deps = {
  repositories: Pick<Repositories, 'answers' | 'conversations' | 'sessions' | 'turnEndings'>
  prices: PriceTable
  notices: AnswerNotices
  memory: SendMemory
}

/** `receipt`: for a delivered answer. */
export type FinishedTurn = {
  receipt: SendReceipt | null
  /** Whether the session that asked for it was still live when its end was written. */
  isAskerLive: boolean
  /** Whether the sender then still had access to the conversation. */
  hasAccess: boolean
}

export class TurnEnding {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /**
   * Writes the end of the turn: settlement, answer, ledger and conversation together. May be called
   * again when it is unknown whether it succeeded.
   *
   * @throws AppError interrupted when the turn was closed in the meantime.
   */
  async finish(
    turn: StartedTurn,
    outcome: ClaudeOutcome,
    timing: TurnTiming,
    warnings: readonly string[],
  ): Promise<FinishedTurn> {
    const finished = await this.#finishOnce(turn, outcome, timing, warnings)
    return finished ?? this.#storedReceipt(turn, outcome)
  }

  /** @returns undefined when the turn is no longer running. */
  async #finishOnce(
    turn: StartedTurn,
    outcome: ClaudeOutcome,
    timing: TurnTiming,
    warnings: readonly string[],
  ): Promise<FinishedTurn | undefined> {
    const ledgerRow = toLedgerEntry(turn, outcome, this.#deps.prices)
    const delivered = outcome.status === 'complete' || outcome.status === 'refused'
    const history = { sent: turn.history.messages, omitted: turn.omitted }
    const receipt = delivered
      ? toReceipt(turn, outcome, ledgerRow?.costNanoUsd ?? null, history, warnings)
      : null
    // Neither billed nor readable: only how it ended is kept.
    const isForgotten = ledgerRow === null && outcome.status !== 'complete'
    const sealed = isForgotten ? NOTHING : sealAnswer(turn, outcome)
    const changes = receipt === null || isForgotten ? {} : toChanges(turn)
    const end = toTurnEnd(outcome, sealed, receipt, timing)
    const ended = await this.#deps.repositories.turnEndings.end({
      answerId: turn.answerId,
      conversationId: turn.conversationId,
      userId: turn.userId,
      end,
      reservation: turn.reservation,
      spent: toSpent(ledgerRow, outcome.usage),
      ledgerRow,
      limits: turn.limits,
      leastPercent: WARN_FROM_PERCENT,
      changes,
      forgotten: isForgotten ? { title: turn.vault.sealTitle(UNTITLED) } : null,
    })
    this.#deps.memory.noteEnded(turn, end, changes, ended?.versions ?? null)
    if (!ended) return undefined
    this.#deps.notices.finished(turn.answerId)
    const { used, isAskerLive, hasAccess } = ended
    return { receipt: receipt && withUsage(receipt, used), isAskerLive, hasAccess }
  }

  /** If the acknowledgement of the commit was lost, the stored end is this call's own. */
  async #storedReceipt(turn: StartedTurn, outcome: ClaudeOutcome): Promise<FinishedTurn> {
    const { answers, conversations, sessions } = this.#deps.repositories
    const stored = await answers.find(turn.answerId, turn.userId)
    if (stored?.requestId !== outcome.requestId || stored.status === 'interrupted') {
      throw closedMeanwhile(turn)
    }
    const { sessionId } = turn.reservation
    const isAskerLive = sessionId !== undefined && (await sessions.isLive(sessionId))
    const hasAccess = await conversations.isReadable(turn.conversationId, turn.userId)
    const receipt = stored.receipt && fromStored(turn.vault, { ...stored, receipt: stored.receipt })
    return { receipt, isAskerLive, hasAccess }
  }
}

/** The conversation's changes. A failed turn cuts nothing: its message may have been too long. */
function toChanges(turn: StartedTurn): ConversationChanges {
  const { vault, model, history, omitted, position, historyStart, newSystemPrompt } = turn
  const start = omitted === 0 ? historyStart : (history.firstPosition ?? position)
  return {
    model: model.id,
    historyStart: start === historyStart ? undefined : start,
    systemPrompt:
      typeof newSystemPrompt === 'string'
        ? vault.sealSystemPrompt(newSystemPrompt)
        : newSystemPrompt,
  }
}

/** For a turn whose text is not kept. */
const NOTHING = { content: null, stopSequence: null }

function sealAnswer({ vault, answerId }: StartedTurn, outcome: ClaudeOutcome) {
  const { status, content, stopSequence } = outcome
  return {
    content:
      status === 'refused' || content.length === 0 ? null : vault.sealContent(answerId, content),
    stopSequence: stopSequence === null ? null : vault.sealStopSequence(answerId, stopSequence),
  }
}

const closedMeanwhile = ({ conversationId, answerId }: StartedTurn) =>
  new AppError(
    'interrupted',
    'The connection to the database was lost for too long and this answer was given up. Send again.',
    { details: { conversation_id: conversationId, message_id: answerId } },
  )
