/** How a turn ends: one transaction, before its caller hears of it. */

import type { ClaudeOutcome } from '../claude/client.ts'
import type { PriceTable } from '../claude/prices.ts'
import { AppError } from '../errors.ts'
import { violatedConstraint } from '../repositories/constraints.ts'
import type { Transact } from '../repositories/index.ts'
import type { Budgets } from './budgets.ts'
import type { BegunTurn } from './turn.ts'
import { type SendReceipt, toLedgerRow, toReceipt, toSpent, toTurnEnd } from './turn-record.ts'

type Deps = { transact: Transact; prices: PriceTable; budgets: Budgets }

export type TurnTiming = {
  durationMs: number
  /** What the answer's signal was aborted with, if it was. */
  stopReason: unknown
}

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
    const content = sealAnswer(turn, outcome)
    return this.#deps.transact(async (repositories) => {
      const { messages, ledger, conversations } = repositories
      const { userId, reservation } = turn
      const spent = toSpent(ledgerRow, outcome)
      const usage = await this.#deps.budgets.settle(repositories, userId, reservation, spent)
      const said = [...warnings, ...usage]
      const receipt = delivered
        ? toReceipt(turn, outcome, ledgerRow?.costNanoUsd, history, said)
        : null
      const end = toTurnEnd(outcome, content, receipt, timing.durationMs, timing.stopReason)
      if (!(await messages.finishTurn(turn.answerId, end))) throw new AlreadyFinished()
      if (ledgerRow) await ledger.insert(ledgerRow)
      const historyStart = turn.turns[0]?.position
      await conversations.release(turn.conversationId, turn.answerId, {
        model: turn.model.id,
        ...(historyStart === undefined || turn.omitted === 0 ? {} : { historyStart }),
      })
      return receipt
    })
  }

  /** After a commit whose acknowledgement was lost, the stored end is this call's own. */
  async #storedReceipt(turn: BegunTurn, outcome: ClaudeOutcome): Promise<SendReceipt | null> {
    const stored = await this.#deps.transact(({ messages }) =>
      messages.findAnswer(turn.answerId, turn.userId),
    )
    if (stored?.requestId !== outcome.requestId || stored.status === 'interrupted') {
      throw closedMeanwhile()
    }
    return stored.result as SendReceipt | null
  }
}

/** The turn is not running any more: rolls the second end of it back. */
class AlreadyFinished extends Error {
  override readonly name = 'AlreadyFinished'
}

function sealAnswer({ vault, answerId }: BegunTurn, outcome: ClaudeOutcome): Buffer | null {
  if (outcome.status === 'refused' || outcome.content.length === 0) return null
  return vault.sealContent(answerId, outcome.content)
}

const closedMeanwhile = () =>
  new AppError(
    'interrupted',
    'The connection to the database was lost for too long and this answer was given up. Send again.',
  )
