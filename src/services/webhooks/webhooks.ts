/** Who is told what: the receivers of the installation, and those of teams. */

import { newId } from '../../crypto/random.ts'
import { newWebhookSecret } from '../../crypto/webhook-signature.ts'
import { AppError } from '../../errors.ts'
import type { InTransaction, Repositories, Transact } from '../../repositories/index.ts'
import type { ListedWebhook, SealedWebhook } from '../../repositories/webhooks/webhooks.ts'
import type { Caller } from '../access/caller.ts'
import { wrongField } from '../access/field-rules.ts'
import {
  type AdminActor,
  adminAuditActor,
  type InstallationRoles,
  requireAuditor,
} from '../access/installation-roles.ts'
import type { AuditDetail, AuditLog } from '../audit/audit-log.ts'
import { TEAM_WEBHOOK_EVENTS, WEBHOOK_EVENTS, type WebhookEventName } from '../audit/told-events.ts'
import type { Vault } from '../keys/vault.ts'
import { holdTeam, recordInTeam, type TeamActor } from '../teams/team-authority.ts'
import { teamNotFound, teamRoleTooSmall } from '../teams/team-errors.ts'
import { teamRef } from '../teams/team-name.ts'
import { mayDecide } from '../teams/team-roles.ts'
import { bodyOf } from './event-body.ts'
import { webhookAddress } from './webhook-address.ts'

type Needed =
  | 'auditEvents'
  | 'authority'
  | 'teamMembers'
  | 'teams'
  | 'users'
  | 'webhookDeliveries'
  | 'webhooks'
type Deps = {
  repositories: Pick<Repositories, 'teams' | 'webhookDeliveries' | 'webhooks'>
  transact: Transact<
    | 'auditEvents'
    | 'authority'
    | 'teamMembers'
    | 'teams'
    | 'users'
    | 'webhookDeliveries'
    | 'webhooks'
  >
  audit: Pick<AuditLog, 'record'>
  roles: InstallationRoles
  vault: Pick<Vault, 'createWebhookKey' | 'openWebhook'>
  /** Whether owners of teams may have some (TEAM_WEBHOOKS). */
  isForTeams: boolean
}

/** Who acts, and on whose webhooks. */
export type WebhookOwner =
  | { of: 'installation'; actor: AdminActor }
  | { of: 'team'; actor: TeamActor; team: string }

/** `host`: the rest of an address may hold a secret of the receiver, and is never shown. */
export type ShownWebhook = Omit<ListedWebhook, 'dataKey' | 'url'> & { host: string }

/** `secret`: shown once. */
export type NewSecret = { id: string; secret: string }

const MOST_OF_INSTALLATION = 20
const MOST_OF_TEAM = 5
/** For so long the secret that was replaced signs as well. */
const ROTATION_SECONDS = 24 * 3600
const SHOWN_DELIVERIES = 20

type Held = Pick<InTransaction, Needed>
type Act = { action: string; id: string; detail?: AuditDetail }

export class Webhooks {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  get isForTeams(): boolean {
    return this.#deps.isForTeams
  }

  /** What the owner's webhooks may be told of. */
  eventsOf({ of }: Pick<WebhookOwner, 'of'>): readonly WebhookEventName[] {
    return of === 'team' ? TEAM_WEBHOOK_EVENTS : WEBHOOK_EVENTS
  }

  /** Those of the installation. @throws AppError forbidden unless the caller is an auditor or admin. */
  async list(caller: Caller): Promise<ShownWebhook[]> {
    requireAuditor(caller)
    return this.#shown(await this.#deps.repositories.webhooks.list({ teamId: null }))
  }

  /** All, for the operator. */
  async listAll(): Promise<ShownWebhook[]> {
    return this.#shown(await this.#deps.repositories.webhooks.list())
  }

  /** @throws AppError not_found, forbidden unless the caller owns the team. */
  async listOfTeam(caller: Caller, team: string) {
    this.#refuseTeams()
    const { teams, webhooks } = this.#deps.repositories
    const found = await teams.findOwn(teamRef(team), caller.userId)
    if (found === undefined) throw teamNotFound()
    if (!mayDecide(found.role)) throw teamRoleTooSmall(found.role, 'owner')
    return { team: found, webhooks: this.#shown(await webhooks.list({ teamId: found.id })) }
  }

  /** The newest deliveries of one that {@link list} or {@link listOfTeam} has. */
  async deliveries({ id }: Pick<ShownWebhook, 'id'>) {
    return this.#deps.repositories.webhookDeliveries.list(id, SHOWN_DELIVERIES)
  }

  /**
   * @returns the secret that signs what is sent; it is shown this once.
   * @throws AppError invalid_input for the address or the events, and for too many; those of
   *   {@link delete}.
   */
  async create(
    owner: WebhookOwner,
    given: { url: string; events: readonly string[] },
  ): Promise<NewSecret> {
    const url = webhookAddress(given.url)
    const events = this.#checkedEvents(owner, given.events)
    const id = newId()
    const { wrapped, vault } = this.#deps.vault.createWebhookKey(id)
    const secret = newWebhookSecret()
    await this.#act(owner, async ({ webhooks }, teamId) => {
      await webhooks.lockOwner({ teamId })
      const most = teamId === null ? MOST_OF_INSTALLATION : MOST_OF_TEAM
      if ((await webhooks.count({ teamId })) >= most) throw tooMany(most)
      await webhooks.insert({
        ...{ id, teamId, dataKey: wrapped, events },
        url: vault.sealUrl(url),
        secret: vault.sealSecret(secret),
        createdBy: idOf(owner),
      })
      return { action: 'webhook.created', id, detail: { events: events.join(',') } }
    })
    return { id, secret }
  }

  /** Replaces the secret; for a day what is sent is signed with both. @throws AppError as {@link delete}. */
  async rotate(owner: WebhookOwner, id: string): Promise<NewSecret> {
    const next = newWebhookSecret()
    await this.#onOne(owner, id, async ({ webhooks }, { dataKey, secret }) => {
      const vault = this.#deps.vault.openWebhook(id, dataKey)
      await webhooks.replaceSecret(id, {
        secret: vault.sealSecret(next),
        previousSecret: secret,
        seconds: ROTATION_SECONDS,
      })
      return { action: 'webhook.secret_replaced', id }
    })
    return { id, secret: next }
  }

  /** Sends an event `webhook.test`. @throws AppError as {@link delete}; invalid_input if disabled. */
  async test(owner: WebhookOwner, id: string): Promise<void> {
    await this.#onOne(owner, id, async ({ webhookDeliveries }, { dataKey, disabledAt }) => {
      if (disabledAt !== null) throw isDisabled()
      const deliveryId = newId()
      const event = { id: newId(), event: 'webhook.test', teamId: null, occurredAt: new Date() }
      const body = bodyOf({ ...event, data: { webhook_id: id } }, undefined)
      const vault = this.#deps.vault.openWebhook(id, dataKey)
      const delivery = { id: deliveryId, webhookId: id, event: event.event }
      await webhookDeliveries.insert([{ ...delivery, body: vault.sealBody(deliveryId, body) }])
      return { action: 'webhook.tested', id }
    })
  }

  /** What is on its way to it is given up, and nothing more is sent. @throws AppError as {@link delete}. */
  async disable(owner: WebhookOwner, id: string): Promise<void> {
    await this.#onOne(owner, id, async ({ webhooks }) => {
      const isDone = await webhooks.disable(id, 'by_hand')
      return isDone ? { action: 'webhook.disabled', id } : null
    })
  }

  /** What happened while it was disabled is not sent later. @throws AppError as {@link delete}. */
  async enable(owner: WebhookOwner, id: string): Promise<void> {
    await this.#onOne(owner, id, async ({ webhooks }) => {
      const isDone = await webhooks.enable(id)
      return isDone ? { action: 'webhook.enabled', id } : null
    })
  }

  /**
   * @throws AppError not_found, also for another owner's; forbidden unless the actor is an admin of
   *   the installation, or owns the team while teams may have webhooks; unauthenticated,
   *   proof_required.
   */
  async delete(owner: WebhookOwner, id: string): Promise<void> {
    await this.#onOne(owner, id, async ({ webhooks }) => {
      await webhooks.delete(id)
      return { action: 'webhook.deleted', id }
    })
  }

  /** For the operator: whose webhook it is. @throws AppError not_found. */
  async ownerOf(id: string): Promise<WebhookOwner> {
    const owner = isId(id) ? await this.#deps.repositories.webhooks.findOwner(id) : undefined
    if (owner === undefined) throw noWebhook()
    if (owner.teamId === null) return { of: 'installation', actor: 'operator' }
    return { of: 'team', actor: 'operator', team: owner.teamId }
  }

  async #onOne(
    owner: WebhookOwner,
    id: string,
    work: (repositories: Held, webhook: SealedWebhook) => Promise<Act | null>,
  ): Promise<void> {
    await this.#act(owner, async (repositories, teamId) => {
      const found = isId(id) ? await repositories.webhooks.lock(id, { teamId }) : undefined
      if (found === undefined) throw noWebhook()
      return work(repositories, found)
    })
  }

  /** @param work returns what to record; null when nothing has changed. */
  async #act(
    owner: WebhookOwner,
    work: (repositories: Held, teamId: string | null) => Promise<Act | null>,
  ): Promise<void> {
    const { roles, audit } = this.#deps
    await this.#deps.transact(async (repositories) => {
      if (owner.of === 'installation') {
        await roles.holdAdmin(repositories, owner.actor)
        const act = await work(repositories, null)
        const actor = adminAuditActor(owner.actor)
        if (act) await audit.record(repositories, { ...eventOf(act), actor })
        return
      }
      if (owner.actor !== 'operator') this.#refuseTeams()
      const held = await holdTeam(repositories, owner.actor, owner.team, { mustBeProven: true })
      if (!mayDecide(held.authority)) throw teamRoleTooSmall(held.authority, 'owner')
      const act = await work(repositories, held.id)
      const event = act && { ...eventOf(act), teamId: held.id }
      if (event) await recordInTeam(audit, repositories, owner.actor, event)
    })
  }

  #checkedEvents(owner: WebhookOwner, given: readonly string[]): string[] {
    const known: readonly string[] = this.eventsOf(owner)
    const events = [...new Set(given)]
    if (events.length === 0) throw wrongField('events', 'must name at least one')
    const wrong = events.find((event) => !known.includes(event))
    if (wrong === undefined) return events
    throw wrongField('events', `must be of these: ${known.join(', ')}`)
  }

  #refuseTeams(): void {
    if (this.#deps.isForTeams) return
    throw new AppError('not_found', 'The operator has webhooks of teams switched off.')
  }

  #shown(rows: readonly ListedWebhook[]): ShownWebhook[] {
    return rows.map(({ dataKey, url, ...row }) => ({
      ...row,
      host: new URL(this.#deps.vault.openWebhook(row.id, dataKey).openUrl(url)).host,
    }))
  }
}

const idOf = ({ actor }: WebhookOwner): string | null =>
  actor === 'operator' ? null : 'admin' in actor ? actor.admin.userId : actor.userId

const eventOf = ({ action, id, detail = {} }: Act) => ({
  action,
  target: { kind: 'webhook', id },
  detail,
})

const isId = (text: string) => /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(text)

const noWebhook = () =>
  new AppError('not_found', 'There is no such webhook.', { details: { field: 'id' } })

const isDisabled = () =>
  new AppError('invalid_input', 'This webhook is disabled, so nothing is sent. Enable it first.')

const tooMany = (most: number) =>
  new AppError('invalid_input', `There are ${most} webhooks, which is the most. Delete one first.`)
