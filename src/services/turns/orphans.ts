/** Closes answers whose process died or could not write their end. */

import type { ClaudeOutcome } from '../../claude/client.ts'
import { UNKNOWN_RATE } from '../../claude/prices/usage.ts'
import type { Logger } from '../../log.ts'
import type { Reservation } from '../../repositories/billing/budgets.ts'
import { periodsAt } from '../../repositories/billing/periods.ts'
import type { Repositories } from '../../repositories/index.ts'
import type { WhichOrphans } from '../../repositories/turns/leases.ts'
import type { OrphanLimits } from '../billing/alerts/orphan-limits.ts'
import { OrphanCloser } from '../billing/orphan-closer.ts'
import { INTERRUPTED } from '../billing/running-calls.ts'
import { usageOfOrphan } from '../billing/settlement.ts'
import { SentHistory } from '../conversations/history/history-window.ts'
import type { Vault } from '../keys/vault.ts'
import type { RunningAnswers } from './answers/running-answers.ts'
import type { TurnEnding } from './finish-turn.ts'
import type { StartedTurn } from './turn.ts'

type Deps = {
  repositories: Pick<Repositories, 'leases'>
  ending: TurnEnding
  limits: Pick<OrphanLimits, 'find'>
  vault: Vault
  running: RunningAnswers
  log: Logger
}

type Orphan = Awaited<ReturnType<Repositories['leases']['listOrphans']>>[number]

const NOUN = { one: 'an answer', idName: 'answerId' }

export class Orphans {
  readonly #deps: Deps
  readonly #closer: OrphanCloser<Orphan>

  constructor(deps: Deps) {
    this.#deps = deps
    this.#closer = new OrphanCloser({
      list: (inHand, which) => deps.repositories.leases.listOrphans(inHand, which),
      inHand: () => deps.running.ids,
      close: (orphan) => this.#closeOne(orphan),
      log: deps.log,
      noun: NOUN,
    })
  }

  /**
   * Ends each as `interrupted`, with its last checkpoint as its text and its highest possible cost
   * as its usage; parameters and errors are those of {@link OrphanCloser.close}.
   */
  close(which: WhichOrphans, signal?: AbortSignal): Promise<number> {
    return this.#closer.close(which, signal)
  }

  async #closeOne(orphan: Orphan): Promise<void> {
    const reservation = orphan.reservation ?? nothingReserved(orphan.createdAt)
    const limits = await this.#deps.limits.find(orphan.userId, reservation)
    const turn = this.#toTurn(orphan, { reservation, limits })
    const timing = { durationMs: orphan.ageMs, stopReason: INTERRUPTED }
    await this.#deps.ending.finish(turn, toOutcome(orphan, turn), timing, [])
  }

  #toTurn(
    orphan: Orphan,
    { reservation, limits }: Pick<StartedTurn, 'reservation' | 'limits'>,
  ): StartedTurn {
    const { id: answerId, conversationId, userId, tag, model } = orphan
    return {
      conversationId,
      userId,
      sender: null,
      paidBy: null,
      isOthers: false,
      answerId,
      vault: this.#deps.vault.openConversation(orphan.conversation),
      model: { id: model, info: undefined, warnings: [] },
      systemPrompt: undefined,
      newSystemPrompt: undefined,
      maxTokens: 0,
      history: new SentHistory([]),
      omitted: 0,
      tag,
      hasIdempotencyKey: false,
      position: orphan.position - 1,
      historyStart: 1,
      limits,
      reservation,
    }
  }
}

/** For a turn of a build without budgets. */
const nothingReserved = (at: Date): Reservation => ({
  ...periodsAt(at),
  nanoUsd: 0n,
  tokens: 0,
  likelyInputTokens: 0,
})

function toOutcome(orphan: Orphan, turn: StartedTurn): ClaudeOutcome {
  const content = orphan.content === null ? [] : turn.vault.openContent(orphan.id, orphan.content)
  return {
    status: 'cancelled',
    content,
    text: '',
    stopReason: null,
    stopSequence: null,
    refusalCategory: null,
    usage: usageOfOrphan(turn.reservation, orphan.ageMs, orphan.position > 2),
    usageEstimated: 'process_died',
    rate: UNKNOWN_RATE,
    requestId: null,
    model: orphan.model,
    error: null,
    warnings: [],
    upstreamMs: 0,
  }
}
