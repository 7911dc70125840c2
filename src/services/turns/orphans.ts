/**
 * Closes orphans: answers whose process died or could not write their end. Afterwards nothing stays
 * running or reserved.
 */

import type { ClaudeOutcome } from '../../claude/client.ts'
import { UNKNOWN_RATE, type Usage } from '../../claude/prices/usage.ts'
import { usageAtMost } from '../../claude/prices/usage-bounds.ts'
import { AppError, isDatabaseGone } from '../../errors.ts'
import type { Logger } from '../../log.ts'
import { periodsAt } from '../../repositories/billing/periods.ts'
import type { Repositories } from '../../repositories/index.ts'
import type { WhichOrphans } from '../../repositories/turns/leases.ts'
import { UNLIMITED } from '../billing/budgets.ts'
import { SentHistory } from '../conversations/history-window.ts'
import type { Vault } from '../keys/vault.ts'
import type { TurnEnding } from './finish-turn.ts'
import type { RunningAnswers } from './running-answers.ts'
import { INTERRUPTED, type StartedTurn } from './turn.ts'

type Deps = {
  repositories: Pick<Repositories, 'leases'>
  ending: TurnEnding
  vault: Vault
  running: RunningAnswers
  log: Logger
}

type Orphan = Awaited<ReturnType<Repositories['leases']['listOrphans']>>[number]

/** Turns end in shared statements, each of which holds one turn per user (finish-turns.ts). */
const USERS_AT_ONCE = 32
/** Pause before the retry of one that cannot be closed (its key is missing, for example). */
const TRY_AGAIN_MS = 60_000
/** Pause when the database refused for now: a row is locked, or it is away. */
const TRY_LATER_MS = 5_000

export class Orphans {
  readonly #deps: Deps
  /** When to retry those that could not be closed, by id. */
  readonly #broken = new Map<string, number>()

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /**
   * Ends each as `interrupted`, with its last checkpoint as its text and its highest possible cost
   * as its usage. One that cannot be closed (its key is missing) is logged and does not block the
   * others.
   *
   * @param signal ends the work early.
   * @returns how many this process closed; concurrent attempts close each answer once.
   * @throws AppError database_unavailable when none can be closed any more.
   */
  async close(which: WhichOrphans, signal?: AbortSignal): Promise<number> {
    let closed = 0
    while (!signal?.aborted) {
      const inHand = [...this.#deps.running.ids, ...this.#brokenIds()]
      const orphans = await this.#deps.repositories.leases.listOrphans(inHand, which)
      if (orphans.length === 0) break
      closed += await this.#closeAll(orphans, signal)
    }
    return closed
  }

  /** Closes the answers of one user in sequence: in parallel they would wait for the same locks. */
  async #closeAll(orphans: readonly Orphan[], signal?: AbortSignal): Promise<number> {
    const queues = byUser(orphans)
    let closed = 0
    const lane = async () => {
      for (let queue = queues.pop(); queue; queue = queues.pop()) {
        for (const orphan of queue) {
          if (signal?.aborted) return
          if (await this.#closeOne(orphan)) closed += 1
        }
      }
    }
    const lanes = Array.from({ length: USERS_AT_ONCE }, lane)
    const failed = (await Promise.allSettled(lanes)).find(({ status }) => status === 'rejected')
    if (failed && closed === 0) throw (failed as PromiseRejectedResult).reason
    return closed
  }

  #brokenIds(): string[] {
    for (const [id, tryAt] of this.#broken) {
      if (tryAt <= performance.now()) this.#broken.delete(id)
    }
    return [...this.#broken.keys()]
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
      const isLater = isDatabaseGone(error)
      this.#broken.set(orphan.id, performance.now() + (isLater ? TRY_LATER_MS : TRY_AGAIN_MS))
      if (isLater) throw error
      this.#deps.log.error({ err: error, answerId: orphan.id }, 'an answer cannot be closed')
      return false
    }
  }

  #toTurn(orphan: Orphan): StartedTurn {
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

function byUser(orphans: readonly Orphan[]): Orphan[][] {
  const queues = new Map<string, Orphan[]>()
  for (const orphan of orphans) {
    const queue = queues.get(orphan.userId)
    if (queue) queue.push(orphan)
    else queues.set(orphan.userId, [orphan])
  }
  return [...queues.values()]
}

/** For a turn of a build without budgets. */
const nothingReserved = (at: Date) => ({
  ...periodsAt(at),
  nanoUsd: '0',
  tokens: 0,
  likelyInputTokens: 0,
})

/**
 * Without the process it is unknown whether Anthropic was reached, and what it counted. So the most
 * that may have been written by now is booked, up to the reservation.
 */
function usageOf(orphan: Orphan, { reservation }: StartedTurn): Usage {
  const { tokens, likelyInputTokens: inputTokens } = reservation
  const { maxTokens = Math.max(0, tokens - inputTokens) } = reservation
  const bounds = { inputTokens, outputTokens: maxTokens, writesCache: orphan.position > 2 }
  return usageAtMost(bounds, orphan.ageMs)
}

function toOutcome(orphan: Orphan, turn: StartedTurn): ClaudeOutcome {
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
