/** How a turn ends: one transaction, before its caller hears of it. */

import type { ClaudeOutcome } from '../claude/client.ts'
import type { PriceTable } from '../claude/prices.ts'
import { AppError } from '../errors.ts'
import { violatedConstraint } from '../repositories/constraints.ts'
import type { Transact } from '../repositories/index.ts'
import type { Budgets } from './budgets.ts'
import type { BegunTurn } from './turn.ts'
import {
  type SendReceipt,
  type StoredReceipt,
  type TurnTiming,
  toLedgerRow,
  toReceipt,
  toSpent,
  toTurnEnd,
} from './turn-record.ts'
import type { ConversationVault } from './vault.ts'

type Deps = { transact: Transact; prices: PriceTable; budgets: Budgets }

export class TurnEnding {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /**
   * Writes how the turn ended: settlement, answer, ledger and conversation together. May be called
   * again when it is not known whether it succeeded.
   *
   * @returns the receipt of a delivered answer, null for any other end.
   * @throws AppError interrupted when the turn was closed in the meantime.
   */
  async finish(
    turn: BegunTurn,
    outcome: ClaudeOutcome,
    timing: TurnTiming,
    warnings: readonly string[],
  ): Promise<SendReceipt | null> {
    try {
      return await this.#finishOnce(turn, outcome, timing, warnings)
    } catch (error) {
      const isRepeat =
        error instanceof AlreadyFinished || violatedConstraint(error) === 'ledger_message_unique'
      if (!isRepeat) throw error
      return this.#storedReceipt(turn, outcome)
    }
  }

  async #finishOnce(
    turn: BegunTurn,
    outcome: ClaudeOutcome,
    timing: TurnTiming,
    warnings: readonly string[],
  ): Promise<SendReceipt | null> {
    const ledgerRow = toLedgerRow(turn, outcome, this.#deps.prices, new Date())
    const delivered = outcome.status === 'complete' || outcome.status === 'refused'
    const history = { sent: turn.turns.length * 2, omitted: turn.omitted }
    const sealed = sealAnswer(turn, outcome)
    return this.#deps.transact(async (repositories) => {
      const { messages, ledger, conversations } = repositories
      const { userId, reservation } = turn
      const spent = toSpent(ledgerRow, outcome)
      const usage = await this.#deps.budgets.settle(repositories, userId, reservation, spent)
      const said = [...warnings, ...usage]
      const receipt = delivered
        ? toReceipt(turn, outcome, ledgerRow?.costNanoUsd, history, said)
        : null
      const end = toTurnEnd(outcome, sealed, receipt, timing)
      if (!(await messages.finishTurn(turn.answerId, end))) throw new AlreadyFinished()
      if (ledgerRow) await ledger.insert(ledgerRow)
      // A failed turn cuts nothing: its own message may have been what was too long.
      const isCut = receipt !== null && turn.omitted > 0
      await conversations.release(turn.conversationId, turn.answerId, {
        ...(receipt === null ? {} : { model: turn.model.id }),
        ...(isCut ? { historyStart: turn.turns[0]?.position ?? turn.position } : {}),
      })
      return receipt
    })
  }

  /** After a commit whose acknowledgement was lost, the stored end is this call's own. */
  async #storedReceipt(turn: BegunTurn, outcome: ClaudeOutcome): Promise<SendReceipt | null> {
    const stored = await this.#deps.transact(({ answers }) =>
      answers.find(turn.answerId, turn.userId),
    )
    if (stored?.requestId !== outcome.requestId || stored.status === 'interrupted') {
      throw closedMeanwhile(turn)
    }
    return stored.result && fromStored(turn.vault, stored)
  }
}

/** The turn is not running any more: rolls the second end of it back. */
class AlreadyFinished extends Error {
  override readonly name = 'AlreadyFinished'
}

function sealAnswer({ vault, answerId }: BegunTurn, outcome: ClaudeOutcome) {
  const { status, content, stopSequence } = outcome
  return {
    content:
      status === 'refused' || content.length === 0 ? null : vault.sealContent(answerId, content),
    stopSequence: stopSequence === null ? null : vault.sealStopSequence(answerId, stopSequence),
  }
}

/** The receipt as its caller got it. */
export function fromStored(
  vault: ConversationVault,
  stored: { id: string; result: Record<string, unknown> | null; stopSequence: Buffer | null },
): SendReceipt {
  const receipt = stored.result as StoredReceipt
  const sealed = stored.stopSequence
  const stopSequence = sealed === null ? null : vault.openStopSequence(stored.id, sealed)
  return { ...receipt, stop_sequence: stopSequence }
}

const closedMeanwhile = ({ conversationId, answerId }: BegunTurn) =>
  new AppError(
    'interrupted',
    'The connection to the database was lost for too long and this answer was given up. Send again.',
    { details: { conversation_id: conversationId, message_id: answerId } },
  )
