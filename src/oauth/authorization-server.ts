/**
 * The authorization server of /mcp (OAuth 2.1), as the HTTP side uses it: its endpoints, and what the
 * consent page needs. The protocol is oidc-provider's; what is kept, and who decides, is ours.
 */

import type { IncomingMessage, ServerResponse } from 'node:http'
import { newId } from '../crypto/random.ts'
import { AppError } from '../errors.ts'
import { holdSessions } from '../services/authority.ts'
import { isScope, type Scope } from '../services/scopes.ts'
import { type Caller, hashOf } from '../services/sessions.ts'
import { visibleName } from '../visible-name.ts'
import { FlowCookies } from './flow-cookies.ts'
import { type IssuerOptions, Issuers } from './issuers.ts'
import { errors, type InteractionResults, type Provider } from './oidc-provider.ts'
import { PENDING_SECONDS } from './provider.ts'
import { seenAt } from './shims.ts'

/** A client's request for access that waits for its user on the consent page. */
export type PendingConnection = {
  /** Names it in the URL of the consent page; only the browser that began it may see it. */
  uid: string
  client: {
    id: string
    /** As the client gives it, made readable: not to be believed, and to be escaped. */
    name: string
    /** Known by a document at its own https URL, and not by what it registered itself. */
    isDocument: boolean
  }
  redirectUri: string
  scopes: Scope[]
}

/** What the user decided, which may be less than was asked for. */
export type Approval = {
  scopes: Scope[]
  expiresAt: Date
  /** The most this connection may spend a month; null: no limit of its own. */
  limitNanoUsd: bigint | null
}

type Interaction = Awaited<ReturnType<Provider['interactionDetails']>>

/** So long after its connection's end a registered client is still known, to hear `invalid_grant`. */
const CLIENT_GRACE_MS = 24 * 60 * 60 * 1000

export class AuthorizationServer {
  readonly #options: IssuerOptions
  readonly #cookies: FlowCookies
  readonly #issuers: Issuers

  constructor(options: IssuerOptions) {
    this.#options = options
    const isSecure = options.origins.public.startsWith('https:')
    this.#cookies = new FlowCookies({ isSecure, seconds: PENDING_SECONDS })
    this.#issuers = new Issuers(options, this.#cookies)
  }

  /** Signs with other keys from now on. What is pending goes on: nothing is kept in memory. */
  replaceKeys(keys: IssuerOptions['keys']): void {
    this.#issuers.replaceKeys(keys)
  }

  /** The endpoints of OAuth: /oauth/* and the metadata documents. */
  async handle(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const origin = this.#options.origins.askedBy(req)
    seenAt(req, origin)
    req.headers.cookie = this.#cookies.forProvider(req)
    await this.#issuers.at(origin).callback(req, res)
  }

  /** @throws AppError not_found when it has expired, or was begun in another browser. */
  async pending(req: IncomingMessage, res: ServerResponse): Promise<PendingConnection> {
    return this.#describe(await this.#find(req, res))
  }

  async #describe(interaction: Interaction): Promise<PendingConnection> {
    const { client_id: id, redirect_uri: redirectUri } = interaction.params
    const client = await this.#provider.Client.find(String(id))
    // The rule for addresses may be stricter than when this was begun.
    if (!client?.redirectUriAllowed(String(redirectUri))) throw expired()
    return {
      uid: interaction.uid,
      client: {
        id: client.clientId,
        name: nameOf(client.clientName, client.clientId, String(redirectUri)),
        isDocument: isDocumentUrl(client.clientId),
      },
      redirectUri: String(redirectUri),
      scopes: scopesOf(interaction),
    }
  }

  /**
   * Makes the connection and sends the browser on its way back to the client.
   *
   * @throws AppError not_found like {@link pending}, also for a form that is sent a second time;
   *   unauthenticated when the caller's session has ended since the request came; proof_required for
   *   the permission `account`; invalid_input for no scope, or one that was not asked for.
   */
  async approve(
    req: IncomingMessage,
    res: ServerResponse,
    caller: Caller,
    approval: Approval,
  ): Promise<void> {
    const interaction = await this.#find(req, res)
    const { client } = await this.#describe(interaction)
    refuseOtherScopes(approval.scopes, scopesOf(interaction))
    const grantId = await this.#connect(caller, interaction, client, approval)
    await this.#saveGrant(grantId, caller, interaction, approval)
    await this.#keepClient(client.id, approval.expiresAt)
    const { userId: accountId } = caller
    await this.#finish(req, res, { login: { accountId }, consent: { grantId } })
  }

  /**
   * A client that registered itself is one installation: approved again, it keeps its connection, in
   * whose limit counts what it has spent already, and loses the codes and refresh tokens it had. Of a
   * client with a document there are many in the world and maybe several of this user's, so each
   * approval is a connection of its own.
   *
   * @returns the connection's id.
   */
  async #connect(
    caller: Caller,
    interaction: Interaction,
    { id: clientId, name, isDocument }: PendingConnection['client'],
    { scopes, expiresAt, limitNanoUsd: limit }: Approval,
  ): Promise<string> {
    const { userId } = caller
    const limitNanoUsd = limit === null ? null : String(limit)
    const approved = { name, scopes, limitNanoUsd, expiresAt }
    return this.#options.store.transact(async ({ authority, sessions, oauthRecords }) => {
      await authority.lockEntrance(userId)
      const known = isDocument ? undefined : await sessions.findConnection(userId, clientId)
      const mustBeProven = scopes.includes('account')
      const others = known ? [known.id] : []
      const isLive = await holdSessions({ authority }, caller, others, { mustBeProven })
      // A form that is sent twice makes one connection.
      if (!(await oauthRecords.consume('Interaction', hashOf(interaction.uid)))) throw expired()
      if (known && isLive(known.id)) {
        await sessions.renewConnection(known.id, approved)
        await oauthRecords.deleteIssued(known.id)
        return known.id
      }
      const id = newId()
      await sessions.insert({ id, userId, kind: 'connection', clientId, ...approved })
      return id
    })
  }

  /** Sends the browser back to the client with `access_denied`. @throws AppError not_found. */
  async deny(req: IncomingMessage, res: ServerResponse): Promise<void> {
    await this.#describe(await this.#find(req, res))
    await this.#finish(req, res, {
      error: 'access_denied',
      error_description: 'The user did not approve.',
    })
  }

  /** For what is the same under every name: everything that is stored. */
  get #provider(): Provider {
    return this.#issuers.at(this.#options.origins.public).provider
  }

  #providerFor(req: IncomingMessage): Provider {
    return this.#issuers.at(this.#options.origins.askedBy(req)).provider
  }

  async #find(req: IncomingMessage, res: ServerResponse): Promise<Interaction> {
    try {
      return await this.#providerFor(req).interactionDetails(this.#forProvider(req), res)
    } catch (error) {
      throw error instanceof errors.SessionNotFound ? expired() : error
    }
  }

  async #finish(
    req: IncomingMessage,
    res: ServerResponse,
    result: InteractionResults,
  ): Promise<void> {
    await this.#providerFor(req).interactionFinished(this.#forProvider(req), res, result)
  }

  /** The request with the cookies it would have without {@link FlowCookies}; the original stays. */
  #forProvider(req: IncomingMessage): IncomingMessage {
    const headers = { ...req.headers, cookie: this.#cookies.forProvider(req) }
    return Object.create(req, { headers: { value: headers } })
  }

  /** What was asked for and not approved is noted as rejected, or the provider would ask again. */
  async #saveGrant(
    id: string,
    { userId: accountId }: Caller,
    interaction: Interaction,
    { scopes, expiresAt }: Approval,
  ): Promise<void> {
    const clientId = String(interaction.params.client_id)
    const expiresIn = Math.max(1, Math.floor((expiresAt.getTime() - Date.now()) / 1000))
    // The provider takes both, though its published types do not list them.
    const own = { jti: id, expiresIn }
    const grant = new this.#provider.Grant({ ...own, accountId, clientId })
    const rejected = scopesOf(interaction).filter((scope) => !scopes.includes(scope))
    for (const resource of [interaction.params.resource].flat().map(String)) {
      grant.addResourceScope(resource, scopes.join(' '))
      if (rejected.length > 0) grant.rejectResourceScope(resource, rejected.join(' '))
    }
    grant.addOIDCScope('offline_access')
    await grant.save()
  }

  async #keepClient(clientId: string, connectionEnd: Date): Promise<void> {
    const until = new Date(connectionEnd.getTime() + CLIENT_GRACE_MS)
    await this.#options.store.repositories.oauthRecords.extend('Client', hashOf(clientId), until)
  }
}

/** Without a name it is called by its site, or by the scheme of its app. */
function nameOf(given: string | undefined, clientId: string, redirectUri: string): string {
  const name = visibleName(given ?? '')
  if (name !== undefined) return name
  const { host, protocol } = new URL(isDocumentUrl(clientId) ? clientId : redirectUri)
  return visibleName(host) ?? protocol
}

const isDocumentUrl = (clientId: string) => clientId.startsWith('https://')

const scopesOf = ({ params }: Interaction): Scope[] =>
  String(params.scope ?? '')
    .split(' ')
    .filter(isScope)

function refuseOtherScopes(approved: readonly Scope[], asked: readonly Scope[]): void {
  if (approved.length > 0 && approved.every((scope) => asked.includes(scope))) return
  throw new AppError('invalid_input', 'Approve at least one of the permissions asked for.', {
    details: { field: 'scopes' },
  })
}

const expired = () =>
  new AppError(
    'not_found',
    'This request to connect has expired, or was begun in another browser. Connect again from your client.',
  )
