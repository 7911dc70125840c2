/** A turn that began before its session was looked up (early-sends.ts). */

import type { AppError } from '../../../errors.ts'
import type { Count, SessionProof } from '../../../repositories/access/session-checks.ts'
import type { TurnContext } from '../../../repositories/turns/load-turn-context.ts'
import type { Caller } from '../../access/caller.ts'
import type { PayerChoice } from '../../billing/teams/payer-choice.ts'
import type { RunningAnswers } from '../answers/running-answers.ts'
import type { StartedTurn } from '../turn.ts'

/**
 * A sender as remembered, and the conversation that the input names. Where a team pays, its purse is
 * in `context`.
 */
export type Recalled = {
  proof: SessionProof
  caller: Caller
  context: TurnContext
  payer: PayerChoice
}

/** `refusal`: it is unknown whether the message was stored. `count`: of the user's requests. */
export type EarlySend = { caller: Caller } & (
  | { turn: EarlyTurn; count: Count | null }
  | { refusal: AppError }
)

export class EarlyTurn {
  readonly turn: StartedTurn
  readonly entry: RunningEntry
  #isClaimed = false

  constructor(turn: StartedTurn, entry: RunningEntry) {
    this.turn = turn
    this.entry = entry
  }

  /** For the call that waits for the answer. */
  claim(): this {
    this.#isClaimed = true
    return this
  }

  /** Stops the answer if no call has claimed it. */
  abandon(reason: AppError): void {
    if (!this.#isClaimed) this.entry.answer.controller.abort(reason)
  }
}

export type RunningEntry = NonNullable<ReturnType<RunningAnswers['find']>>
