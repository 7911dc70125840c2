/**
 * Delivers what is queued for webhooks. Any number of replicas do so at once: each delivery is
 * claimed by one of them for a while. It arrives at least once: a process that dies after it was
 * delivered and before that is written leads to a second time, with the same `webhook-id`.
 */

import { webhookHeaders } from '../../crypto/webhook-signature.ts'
import { isDatabaseGone } from '../../errors.ts'
import type { Logger } from '../../log.ts'
import type { Repositories } from '../../repositories/index.ts'
import type { ClaimedDelivery } from '../../repositories/webhooks/webhook-deliveries.ts'
import type { Vault } from '../keys/vault.ts'
import type { EventQueue } from './event-queue.ts'

/** What became of one request: the status that it was answered with, or why there was none. */
export type PostOutcome =
  | { status: number }
  /** `shown`: for the page; `logged`: for the operator. */
  | { shown: string; logged: string }

/** Sends one request to an address that is not trusted. Never throws. */
export type Post = (
  url: string,
  request: { headers: Record<string, string>; body: string },
  signal: AbortSignal,
) => Promise<PostOutcome>

type Deps = {
  repositories: Pick<Repositories, 'budgetAlerts' | 'webhookDeliveries' | 'webhooks'>
  queue: Pick<EventQueue, 'run'>
  vault: Pick<Vault, 'openWebhook'>
  post: Post
  isForTeams: boolean
  log: Logger
}

const SECOND = 1
const MINUTE = 60
const HOUR = 3600
/** After each failed attempt; after the last one it is given up. */
export const RETRY_AFTER_SECONDS = [
  5 * SECOND,
  5 * MINUTE,
  30 * MINUTE,
  2 * HOUR,
  5 * HOUR,
  10 * HOUR,
  14 * HOUR,
]
/** Nothing has reached a receiver for so long: it is disabled. */
const FAILING_SECONDS = 3 * 24 * HOUR
const WITHIN_MS = 5_000
/** Longer than an attempt takes. */
const LEASE_SECONDS = 20
const CLAIM = { total: 16, ofOne: 4 }
const ROUNDS_PER_CLEANING = 1_800
const GONE = 410

export class WebhookDeliveries {
  readonly #deps: Deps
  #round = 0

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /** Queues and delivers all that is due. Never throws: the next round goes on. */
  async runRound(stop: AbortSignal): Promise<void> {
    const { repositories, log } = this.#deps
    try {
      this.#round += 1
      if (this.#round % ROUNDS_PER_CLEANING === 0) await this.#clean()
      while (!stop.aborted && (await repositories.webhookDeliveries.isAnythingDue())) {
        const queued = await this.#deps.queue.run()
        const delivered = await this.#deliver(stop)
        // Of a team while those are switched off, or in the hands of another replica.
        if (queued + delivered === 0) return
      }
    } catch (err) {
      if (!isDatabaseGone(err)) log.error({ err }, 'webhooks could not be served')
    }
  }

  /** @returns how many attempts were made. */
  async #deliver(stop: AbortSignal): Promise<number> {
    const { webhookDeliveries } = this.#deps.repositories
    const claimed = await webhookDeliveries.claim(CLAIM, LEASE_SECONDS, this.#deps.isForTeams)
    await Promise.all(claimed.map((delivery) => this.#attempt(delivery, stop)))
    return claimed.length
  }

  async #attempt(delivery: ClaimedDelivery, stop: AbortSignal): Promise<void> {
    const vault = this.#deps.vault.openWebhook(delivery.webhookId, delivery.dataKey)
    const body = vault.openBody(delivery.id, delivery.body)
    const secrets = [vault.openSecret(delivery.secret)]
    if (delivery.previousSecret) secrets.push(vault.openSecret(delivery.previousSecret))
    const timestampSeconds = Math.floor(Date.now() / 1000)
    const headers = webhookHeaders({ id: delivery.id, timestampSeconds, body }, secrets)
    const signal = AbortSignal.any([stop, AbortSignal.timeout(WITHIN_MS)])
    const url = vault.openUrl(delivery.url)
    const outcome = await this.#deps.post(url, { headers, body }, signal)
    // It is due again once the claim has ended.
    if (stop.aborted && !('status' in outcome)) return
    await this.#note(delivery, outcome)
  }

  async #note(delivery: ClaimedDelivery, outcome: PostOutcome): Promise<void> {
    const { webhookDeliveries } = this.#deps.repositories
    const status = 'status' in outcome ? outcome.status : null
    if (status !== null && status >= 200 && status < 300) {
      return webhookDeliveries.setDelivered(delivery, status)
    }
    const problem = 'status' in outcome ? `it was answered with status ${status}` : outcome.shown
    const againInSeconds = RETRY_AFTER_SECONDS[delivery.attempts - 1] ?? null
    const failingSeconds = await webhookDeliveries.setFailed(delivery, {
      ...{ status, problem, againInSeconds },
    })
    const { webhookId, attempts } = delivery
    const reason = 'status' in outcome ? problem : outcome.logged
    this.#deps.log.info({ webhookId, attempts, reason }, 'a webhook was not delivered')
    if (status === GONE) await this.#disable(webhookId, 'gone')
    else if (failingSeconds >= FAILING_SECONDS) await this.#disable(webhookId, 'failing')
  }

  async #disable(webhookId: string, reason: 'gone' | 'failing'): Promise<void> {
    const isDisabled = await this.#deps.repositories.webhooks.disable(webhookId, reason)
    if (isDisabled) this.#deps.log.warn({ webhookId, reason }, 'a webhook was disabled')
  }

  async #clean(): Promise<void> {
    const { budgetAlerts, webhookDeliveries } = this.#deps.repositories
    await webhookDeliveries.deleteOld()
    await budgetAlerts.deleteOld()
  }
}
