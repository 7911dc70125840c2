/**
 * The authorization server of /mcp (OAuth 2.1) for the HTTP side: its endpoints, and what the
 * consent page needs. oidc-provider implements the protocol; storage and consent are ours.
 */

import type { IncomingMessage, ServerResponse } from 'node:http'
import { newId } from '../crypto/random.ts'
import { AppError } from '../errors.ts'
import { actorOf } from '../services/access/actor.ts'
import { holdSessions } from '../services/access/authority.ts'
import { beginSession } from '../services/access/begin-session.ts'
import type { Caller } from '../services/access/caller.ts'
import { isScope, type Scope } from '../services/access/scopes.ts'
import { hashOf } from '../services/access/sessions.ts'
import { visibleName } from '../text/visible-name.ts'
import { FlowCookies } from './flow-cookies.ts'
import { type IssuerOptions, Issuers } from './issuers.ts'
import { errors, type InteractionResults, type Provider } from './oidc-provider.ts'
import { PENDING_SECONDS } from './provider.ts'
import { seenAt } from './shims.ts'

/** A client's authorization request that waits for the user's consent. */
export type PendingConnection = {
  /** Its id in the URL of the consent page; only the browser that started it may see the page. */
  uid: string
  client: {
    id: string
    /** Chosen by the client and made readable: untrusted, has to be escaped. */
    name: string
    /** Identified by a metadata document at its https URL, instead of by registration. */
    isDocument: boolean
  }
  redirectUri: string
  scopes: Scope[]
}

/** The user's decision, which may grant less than was requested. */
export type Approval = {
  scopes: Scope[]
  expiresAt: Date
  /** The monthly spending limit of this connection; null: none of its own. */
  limitNanoUsd: bigint | null
  /** Ids of the teams whose money it may spend; left out: none. */
  purses?: string[]
}

type Interaction = Awaited<ReturnType<Provider['interactionDetails']>>

/** How long after its connection's end a client is kept, so that it gets `invalid_grant`. */
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

  /** Signs with other keys from now on. Pending requests continue: they are not held in memory. */
  replaceKeys(keys: IssuerOptions['keys']): void {
    this.#issuers.replaceKeys(keys)
  }

  /** The OAuth endpoints: /oauth/* and the metadata documents. */
  async handle(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const origin = this.#options.origins.askedBy(req)
    seenAt(req, origin)
    req.headers.cookie = this.#cookies.forProvider(req)
    await this.#issuers.at(origin).callback(req, res)
  }

  /** @throws AppError not_found when it has expired, or was started in another browser. */
  async pending(req: IncomingMessage, res: ServerResponse): Promise<PendingConnection> {
    return this.#describe(await this.#find(req, res))
  }

  async #describe(interaction: Interaction): Promise<PendingConnection> {
    const { client_id: id, redirect_uri: redirectUri } = interaction.params
    const client = await this.#provider.Client.find(String(id))
    // The redirect rules may be stricter than when this request started.
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
   * Creates the connection and redirects the browser back to the client.
   *
   * @throws AppError not_found like {@link pending}, also for a form sent twice; unauthenticated
   *   when the caller's session has ended meanwhile; proof_required for the scope `account`;
   *   invalid_input for no scope, or one that was not requested.
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
   * A registered client is one installation: approved again, it keeps its connection, whose limit
   * still counts earlier spending, and loses its codes and refresh tokens. A client with a document
   * has many installations, maybe several of this user, so each approval is a separate connection.
   *
   * @returns the connection's id.
   */
  async #connect(
    caller: Caller,
    interaction: Interaction,
    { id: clientId, name, isDocument }: PendingConnection['client'],
    { scopes, expiresAt, limitNanoUsd, purses = [] }: Approval,
  ): Promise<string> {
    const { userId } = caller
    const approved = { name, scopes, limitNanoUsd, purses, expiresAt }
    const { store, audit } = this.#options
    const { transact } = store
    const deps = { transact, audit }
    return beginSession(deps, userId, actorOf(caller), async (repositories) => {
      const { authority, sessions, oauthRecords, auditEvents } = repositories
      const known = isDocument ? undefined : await sessions.findConnection(userId, clientId)
      const mustBeProven = scopes.includes('account')
      const others = known ? [known.id] : []
      const isLive = await holdSessions({ authority }, caller, others, { mustBeProven })
      // A form sent twice creates only one connection.
      if (!(await oauthRecords.consume('Interaction', hashOf(interaction.uid)))) throw expired()
      if (known && isLive(known.id)) {
        await sessions.renewConnection(known.id, approved)
        await oauthRecords.deleteIssued(known.id)
        await audit.record(
          { auditEvents },
          {
            action: 'connection.renewed',
            actor: actorOf(caller),
            target: { kind: 'session', id: known.id },
            detail: { scopes: scopes.join(' '), purses: purses.join(' ') },
          },
        )
        return known.id
      }
      return { id: newId(), kind: 'connection', clientId, ...approved }
    })
  }

  /** Redirects the browser back to the client with `access_denied`. @throws AppError not_found. */
  async deny(req: IncomingMessage, res: ServerResponse): Promise<void> {
    await this.#describe(await this.#find(req, res))
    await this.#finish(req, res, {
      error: 'access_denied',
      error_description: 'The user did not approve.',
    })
  }

  /** For stored data, which all origins share. */
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

  /** A copy of the request with the provider's own cookies; the original is unchanged. */
  #forProvider(req: IncomingMessage): IncomingMessage {
    const headers = { ...req.headers, cookie: this.#cookies.forProvider(req) }
    return Object.create(req, { headers: { value: headers } })
  }

  /** Marks requested but unapproved scopes as rejected, or the provider would ask again. */
  async #saveGrant(
    id: string,
    { userId: accountId }: Caller,
    interaction: Interaction,
    { scopes, expiresAt }: Approval,
  ): Promise<void> {
    const clientId = String(interaction.params.client_id)
    const expiresIn = Math.max(1, Math.floor((expiresAt.getTime() - Date.now()) / 1000))
    // The provider accepts both, though its published types omit them.
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

/** A client without a name is called by its host, or by the scheme of its app. */
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
