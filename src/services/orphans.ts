/**
 * Closing answers whose process died, or could not write their end, so that nothing stays
 * running and nothing stays reserved.
 */

import type { ClaudeOutcome } from '../claude/client.ts'
import { UNKNOWN_RATE, type Usage } from '../claude/usage.ts'
import { usageAtMost } from '../claude/usage-bounds.ts'
import { AppError, isDatabaseGone } from '../errors.ts'
import type { Logger } from '../log.ts'
import type { Repositories } from '../repositories/index.ts'
import type { WhichOrphans } from '../repositories/leases.ts'
import { periodsAt } from './budget-periods.ts'
import { UNLIMITED } from './budgets.ts'
import { SentHistory } from './history.ts'
import { INTERRUPTED, type RunningAnswers } from './running-answers.ts'
import type { BegunTurn } from './turn.ts'
import type { TurnEnding } from './turn-ending.ts'
import type { Vault } from './vault.ts'

type Deps = {
  repositories: Pick<Repositories, 'leases'>
  ending: TurnEnding
  vault: Vault
  running: RunningAnswers
  log: Logger
}

type Orphan = Awaited<ReturnType<Repositories['leases']['listOrphans']>>[number]

export class Orphans {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /**
   * Ends each as `interrupted`, with its last checkpoint as its text and the most that it can have
   * cost as its usage.
   * One that cannot be closed (its key is missing) is logged and keeps no other from it.
   *
   * @returns how many this process closed; of several that try, one does.
   */
  async close(which: WhichOrphans): Promise<number> {
    const orphans = await this.#deps.repositories.leases.listOrphans(this.#deps.running.ids, which)
    let closed = 0
    for (const orphan of orphans) if (await this.#closeOne(orphan)) closed += 1
    return closed
  }

  async #closeOne(orphan: Orphan): Promise<boolean> {
    const durationMs = orphan.ageMs
    try {
      const turn = this.#toTurn(orphan)
      const timing = { durationMs, stopReason: INTERRUPTED }
      await this.#deps.ending.finish(turn, toOutcome(orphan, turn), timing, [])
      return true
    } catch (error) {
      if (error instanceof AppError && error.code === 'interrupted') return false
      if (isDatabaseGone(error)) throw error
      this.#deps.log.error({ err: error, answerId: orphan.id }, 'an answer cannot be closed')
      return false
    }
  }

  #toTurn(orphan: Orphan): BegunTurn {
    const { id: answerId, conversationId, userId, tag, reservation, model } = orphan
    return {
      conversationId,
      userId,
      answerId,
      vault: this.#deps.vault.openConversation({ ...orphan, id: conversationId }),
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
      limits: UNLIMITED,
      reservation: reservation ?? nothingReserved(orphan.createdAt),
    }
  }
}

/** For a turn that a build without budgets began. */
const nothingReserved = (at: Date) => ({
  ...periodsAt(at),
  nanoUsd: '0',
  tokens: 0,
  likelyInputTokens: 0,
})

/**
 * Whether Anthropic was reached at all died with the process, and so did every count: the most is
 * booked that may have been written until now, as far as was reserved.
 */
function usageOf(orphan: Orphan, { reservation }: BegunTurn): Usage {
  const { tokens, likelyInputTokens: inputTokens } = reservation
  const { maxTokens = Math.max(0, tokens - inputTokens) } = reservation
  const bounds = { inputTokens, outputTokens: maxTokens, writesCache: orphan.position > 2 }
  return usageAtMost(bounds, orphan.ageMs)
}

function toOutcome(orphan: Orphan, turn: BegunTurn): ClaudeOutcome {
  const content = orphan.content === null ? [] : turn.vault.openContent(orphan.id, orphan.content)
  return {
    status: 'cancelled',
    content,
    text: '',
    stopReason: null,
    stopSequence: null,
    refusalCategory: null,
    usage: usageOf(orphan, turn),
    usageEstimated: 'process_died',
    rate: UNKNOWN_RATE,
    requestId: null,
    model: orphan.model,
    error: null,
    warnings: [],
    upstreamMs: 0,
    firstTokenMs: null,
  }
}
