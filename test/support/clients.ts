/** The official clients of both SDK lines, against any running gateway. */

import { randomBytes } from 'node:crypto'
import {
  Client as ModernClient,
  type OAuthClientProvider as ModernProvider,
  StreamableHTTPClientTransport as ModernTransport,
} from '@modelcontextprotocol/client'
import type { OAuthClientProvider as LegacyProvider } from '@modelcontextprotocol/sdk/client/auth.js'
import { Client as LegacyClient } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport as LegacyTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'

export type Era = 'legacy' | 'modern'
export const eras: readonly Era[] = ['legacy', 'modern']

/** What a tool call came back as, whichever client made it. */
export type Answer = {
  isError: boolean
  text: string
  /** As JSON.parse gives it: a wrong shape fails the expectation that reads it. */
  structured: ReturnType<typeof JSON.parse>
}

export type TestClient = {
  era: Era
  raw: LegacyClient | ModernClient
  call(tool: string, args?: Record<string, unknown>, options?: CallOptions): Promise<Answer>
  close(): Promise<void>
}
type CallOptions = {
  signal?: AbortSignal
  onprogress?: (progress: { progress: number; message?: string }) => void
  timeout?: number
}

/** Serves the OAuth code of both lines. */
export type OAuthProvider = LegacyProvider & ModernProvider

export type TestUser = {
  username: string
  email: string
  password: string
  userId: string
  apiKey: string
  accessToken: string
}

/** Of the address that takes requests without a token, beside the one that takes none. */
export const openUrlOf = (mcpUrl: string) => mcpUrl.replace(/\/mcp$/, '/mcp/open')

/**
 * An official client of the era's SDK line, connected.
 *
 * @param access a token, which it sends as a bearer header, or what its own OAuth code works with.
 */
export async function connectClient(
  era: Era,
  url: string,
  access?: string | OAuthProvider,
): Promise<TestClient> {
  const { client, connect } = newClient(era, url, access)
  await connect()
  return client
}

/** The same before it connects, which it may try again. */
export function newClient(era: Era, url: string, access?: string | OAuthProvider) {
  const options =
    typeof access === 'string'
      ? { requestInit: { headers: { Authorization: `Bearer ${access}` } } }
      : { ...(access ? { authProvider: access } : {}) }
  const raw = era === 'legacy' ? newLegacyClient() : newModernClient()
  const newTransport = () =>
    era === 'legacy'
      ? new LegacyTransport(new URL(url), options)
      : new ModernTransport(new URL(url), options)
  const client: TestClient = {
    era,
    raw,
    async call(tool, args = {}, callOptions = {}) {
      const request = { name: `claude-api-gateway_${tool}`, arguments: args }
      const result =
        raw instanceof LegacyClient
          ? await raw.callTool(request, undefined, callOptions as never)
          : await raw.callTool(request, callOptions as never)
      const [block] = result.content as { text: string }[]
      return {
        isError: result.isError === true,
        text: block?.text ?? '',
        structured: result.structuredContent,
      }
    },
    close: () => raw.close(),
  }
  return {
    client,
    newTransport,
    connect: (transport = newTransport()) => raw.connect(transport as never),
  }
}

const newLegacyClient = () => new LegacyClient({ name: 'test-legacy', version: '1.0.0' })

const newModernClient = () =>
  new ModernClient(
    { name: 'test-modern', version: '1.0.0' },
    { versionNegotiation: { mode: { pin: '2026-07-28' } } },
  )

/** A user with a key that the stand-in accepts, signed in. Their client has no token in its header. */
async function signInAdded(
  client: TestClient,
  user: Pick<TestUser, 'apiKey' | 'email' | 'username'>,
  { password }: { password: string },
): Promise<TestUser> {
  const signedIn = await client.call('authenticate_user', { username: user.username, password })
  const { access_token: accessToken, user_id: userId } = signedIn.structured.data
  const key = { anthropic_api_key: user.apiKey, access_token: accessToken }
  const stored = await client.call('update_api_key', key)
  if (stored.isError) throw new Error(stored.text)
  return { ...user, password, userId, accessToken }
}

/** @param add makes the account in another way than register_user. */
export async function register(
  url: string,
  name?: string,
  add?: (user: { username: string; email: string }) => Promise<{ password: string }>,
): Promise<TestUser> {
  const username = name ?? `user-${randomBytes(5).toString('hex')}`
  const email = `${username}@example.com`
  const apiKey = `sk-ant-api03-${randomBytes(12).toString('hex')}`
  const client = await connectClient('legacy', openUrlOf(url))
  try {
    if (add)
      return await signInAdded(client, { username, email, apiKey }, await add({ username, email }))
    const registered = await client.call('register_user', {
      username,
      email,
      anthropic_api_key: apiKey,
    })
    if (registered.isError) throw new Error(registered.text)
    const { user_id: userId, password } = registered.structured.data
    const signedIn = await client.call('authenticate_user', { username, password })
    if (signedIn.isError) throw new Error(signedIn.text)
    const accessToken: string = signedIn.structured.data.access_token
    return { username, email, password, userId, apiKey, accessToken }
  } finally {
    await client.close()
  }
}
