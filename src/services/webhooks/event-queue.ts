/** Puts what happened into the queues of the webhooks that asked to be told of it. */

import { newId } from '../../crypto/random.ts'
import type { Repositories, Transact } from '../../repositories/index.ts'
import type { NewDelivery } from '../../repositories/webhooks/webhook-deliveries.ts'
import type { Receiver } from '../../repositories/webhooks/webhooks.ts'
import type { Vault } from '../keys/vault.ts'
import { bodyOf, ofAct, ofAlert, type ToldEvent } from './event-body.ts'

type Needed = 'budgetAlerts' | 'teams' | 'webhookDeliveries' | 'webhookEvents' | 'webhooks'
type Deps = {
  transact: Transact<'budgetAlerts' | 'teams' | 'webhookDeliveries' | 'webhookEvents' | 'webhooks'>
  vault: Pick<Vault, 'openWebhook'>
  /** Whether those of teams are told of anything. */
  isForTeams: boolean
}

const EVENTS_AT_ONCE = 100
/** On their way to one receiver; what comes while there are so many is dropped, and counted. */
export const MOST_QUEUED = 1_000

export class EventQueue {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /**
   * Takes some of what is not queued yet and queues it, in one transaction: a process that dies in
   * between leaves it to the next one.
   *
   * @returns how many events it took.
   */
  async run(): Promise<number> {
    return this.#deps.transact(async (repositories) => {
      const acts = await repositories.webhookEvents.take(EVENTS_AT_ONCE)
      const alerts = await repositories.budgetAlerts.takeUntold(EVENTS_AT_ONCE)
      const events = [...acts.map(ofAct), ...alerts.map((alert) => ofAlert(alert, newId()))]
      if (events.length > 0) await this.#queue(repositories, events)
      return events.length
    })
  }

  async #queue(
    repositories: Pick<Repositories, Needed>,
    events: readonly ToldEvent[],
  ): Promise<void> {
    const receivers = await repositories.webhooks.listReceivers()
    if (receivers.length === 0) return
    const teamIds = events.flatMap(({ teamId }) => (teamId === null ? [] : [teamId]))
    const names = await repositories.teams.namesOf([...new Set(teamIds)])
    const bodies = events.map((event) => ({ event, body: bodyOf(event, nameIn(names, event)) }))
    for (const receiver of receivers.filter((one) => this.#isServed(one))) {
      const wanted = bodies.filter(({ event }) => isFor(receiver, event))
      const room = Math.max(0, MOST_QUEUED - receiver.queued)
      const queued = wanted.slice(0, room)
      await repositories.webhookDeliveries.insert(this.#deliveriesOf(receiver, queued))
      const dropped = wanted.length - queued.length
      if (dropped > 0) await repositories.webhooks.addDropped(receiver.id, dropped)
    }
  }

  #isServed({ teamId }: Receiver): boolean {
    return teamId === null || this.#deps.isForTeams
  }

  #deliveriesOf(
    { id: webhookId, dataKey }: Receiver,
    queued: readonly { event: ToldEvent; body: string }[],
  ): NewDelivery[] {
    if (queued.length === 0) return []
    const vault = this.#deps.vault.openWebhook(webhookId, dataKey)
    return queued.map(({ event, body }) => {
      const id = newId()
      return { id, webhookId, event: event.event, body: vault.sealBody(id, body) }
    })
  }
}

const nameIn = (names: ReadonlyMap<string, string>, { teamId }: ToldEvent) =>
  teamId === null ? undefined : names.get(teamId)

/** What happened before there was the webhook is not told to it. */
const isFor = ({ teamId, events, createdAt }: Receiver, event: ToldEvent) =>
  events.includes(event.event) &&
  (teamId === null || teamId === event.teamId) &&
  event.occurredAt >= createdAt
