/** The OAuth code of the official clients, with a person who answers what they show. */

import { randomBytes } from 'node:crypto'
import { type Era, newClient, type OAuthProvider, type TestClient } from './clients.ts'
import { LOOPBACK_REDIRECT } from './oauth-flow.ts'
import type { Choices, Person } from './oauth-person.ts'

type MethodOf<Name extends keyof OAuthProvider> = Extract<
  OAuthProvider[Name],
  (...args: never[]) => unknown
>
type Given<Name extends keyof OAuthProvider> = Parameters<MethodOf<Name>>[0]
type Stored<Name extends keyof OAuthProvider> = Exclude<
  Awaited<ReturnType<MethodOf<Name>>>,
  undefined
>

/** What a client of either line remembers between its requests. */
export class MemoryCredentials implements OAuthProvider {
  readonly clientMetadataUrl?: string
  readonly clientMetadata: OAuthProvider['clientMetadata']
  /** Where the client last wanted to send its user. */
  authorizationUrl: URL | undefined
  /** How often it did. */
  timesAsked = 0
  client: Stored<'clientInformation'> | undefined
  current: Stored<'tokens'> | undefined
  /** How often tokens came. */
  timesIssued = 0
  #verifier = ''
  #discovery: Stored<'discoveryState'> | undefined
  #state = ''

  constructor({ name = 'A test', documentUrl }: { name?: string; documentUrl?: string } = {}) {
    if (documentUrl !== undefined) this.clientMetadataUrl = documentUrl
    this.clientMetadata = {
      client_name: name,
      redirect_uris: [LOOPBACK_REDIRECT],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
    }
  }

  get redirectUrl(): string {
    return LOOPBACK_REDIRECT
  }

  state(): string {
    this.#state = randomBytes(8).toString('hex')
    return this.#state
  }

  clientInformation() {
    return this.client
  }

  saveClientInformation(client: Given<'saveClientInformation'>): void {
    this.client = client as Stored<'clientInformation'>
  }

  tokens() {
    return this.current
  }

  saveTokens(tokens: Given<'saveTokens'>): void {
    this.current = tokens as Stored<'tokens'>
    this.timesIssued += 1
  }

  redirectToAuthorization(url: URL): void {
    this.authorizationUrl = url
    this.timesAsked += 1
  }

  saveCodeVerifier(verifier: string): void {
    this.#verifier = verifier
  }

  codeVerifier(): string {
    return this.#verifier
  }

  saveDiscoveryState(state: Given<'saveDiscoveryState'>): void {
    this.#discovery = state as Stored<'discoveryState'>
  }

  discoveryState() {
    return this.#discovery
  }

  invalidateCredentials(scope: 'all' | 'client' | 'tokens' | 'verifier' | 'discovery'): void {
    if (scope === 'all' || scope === 'client') this.client = undefined
    if (scope === 'all' || scope === 'tokens') this.current = undefined
    if (scope === 'all' || scope === 'discovery') this.#discovery = undefined
  }

  /** @throws Error when the answer is not to the question last asked. */
  checkState(callback: URL): void {
    if (callback.searchParams.get('state') !== this.#state) throw new Error('wrong state')
  }
}

/** Lets the person answer what the client last showed, and the client finish. */
export async function finishAuthorization(
  { raw, era }: TestClient,
  credentials: MemoryCredentials,
  person: Person,
  { transport = raw.transport, ...choices }: Choices & { transport?: unknown } = {},
): Promise<void> {
  if (!credentials.authorizationUrl) throw new Error('the client asked for nothing')
  const callback = await person.answer(credentials.authorizationUrl, choices)
  credentials.checkState(callback)
  const { searchParams } = callback
  // The older line takes the code only, and does not look at `iss`.
  await finisherOf(transport).finishAuth(era === 'legacy' ? searchParams.get('code') : searchParams)
}

type Finisher = { finishAuth(given: URLSearchParams | string | null): Promise<void> }

const finisherOf = (transport: unknown) => transport as Finisher

/** Connecting, refused for want of a token, and about to show its person a page. */
export async function askForAccess(era: Era, url: string, credentials: MemoryCredentials) {
  const { client, newTransport, connect } = newClient(era, url, credentials)
  const transport = newTransport()
  const refusal = await connect(transport).catch((error: Error) => error)
  if (!(refusal instanceof Error)) throw new Error('connected without a token')
  return { client, transport: finisherOf(transport), connect, refusal }
}

/** The same, let in by the person, and connected. */
export async function connectByOAuth(
  era: Era,
  url: string,
  person: Person,
  {
    credentials = new MemoryCredentials(),
    ...choices
  }: Choices & { credentials?: MemoryCredentials } = {},
) {
  const { client, transport, connect, refusal } = await askForAccess(era, url, credentials)
  await finishAuthorization(client, credentials, person, { ...choices, transport })
  await connect()
  return { client, credentials, refusal }
}
