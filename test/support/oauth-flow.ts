/** The steps of a client that asks for access, one by one, as plain requests. */

import { createHash, randomBytes } from 'node:crypto'

/** As JSON.parse gives it: a wrong shape fails the expectation that reads it. */
type Json = ReturnType<typeof JSON.parse>
type Answer = { status: number; body: Json; headers: Headers }
type Fields = Record<string, string>

/** Where a desktop client listens. Nobody does here: where the browser is sent is all that counts. */
export const LOOPBACK_REDIRECT = 'http://127.0.0.1:49152/callback'

export type Authorization = {
  /** Where the client sends its user's browser. */
  url: URL
  verifier: string
  state: string
  redirectUri: string
  clientId: string
}

export type OAuthFlow = ReturnType<typeof createFlow>

/** @param publicUrl of the gateway, without a path. */
export function createFlow(publicUrl: string) {
  const post = (path: string, init: RequestInit) => answerOf(fetch(`${publicUrl}${path}`, init))
  const form = (path: string, fields: Fields, headers: Fields = {}) =>
    post(path, { method: 'POST', body: new URLSearchParams(fields), headers })

  return {
    /** Sends a registration as it is given. */
    register: (body: unknown, headers: Fields = {}): Promise<Answer> =>
      post('/oauth/register', {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: JSON.stringify(body),
      }),

    /** A public client by dynamic registration. @returns its id. */
    async newClient(metadata: Record<string, unknown> = {}): Promise<string> {
      const given = { client_name: 'A test', redirect_uris: [LOOPBACK_REDIRECT], ...metadata }
      const { status, body } = await this.register({ token_endpoint_auth_method: 'none', ...given })
      if (status !== 201) throw new Error(JSON.stringify(body))
      return body.client_id
    },

    /** What is given replaces what a careful client sends; undefined leaves it out. */
    authorization(
      clientId: string,
      { redirectUri = LOOPBACK_REDIRECT, ...given }: Record<string, string | undefined> = {},
    ): Authorization {
      const verifier = randomBytes(32).toString('base64url')
      const state = randomBytes(8).toString('base64url')
      const parameters = {
        response_type: 'code',
        client_id: clientId,
        redirect_uri: redirectUri,
        state,
        code_challenge: createHash('sha256').update(verifier).digest('base64url'),
        code_challenge_method: 'S256',
        resource: `${publicUrl}/mcp`,
        ...given,
      }
      const url = new URL(`${publicUrl}/oauth/authorize`)
      for (const [name, value] of Object.entries(parameters)) {
        if (value !== undefined) url.searchParams.set(name, value)
      }
      return { url, verifier, state, redirectUri, clientId }
    },

    /** Answers as the token endpoint does. */
    token: (fields: Fields, headers: Fields = {}) => form('/oauth/token', fields, headers),

    /** Trades the code that came back for tokens, as the client that asked. */
    exchange(asked: Authorization, callback: URL, more: Fields = {}, headers: Fields = {}) {
      const code = callback.searchParams.get('code') ?? ''
      const { verifier, redirectUri, clientId } = asked
      const grant = { grant_type: 'authorization_code', code, code_verifier: verifier }
      const fields = { ...grant, redirect_uri: redirectUri, client_id: clientId, ...more }
      return form('/oauth/token', fields, headers)
    },

    refresh: (clientId: string, refreshToken: string, more: Fields = {}) =>
      form('/oauth/token', {
        grant_type: 'refresh_token',
        client_id: clientId,
        refresh_token: refreshToken,
        ...more,
      }),

    revoke: (clientId: string, token: string, more: Fields = {}) =>
      form('/oauth/revoke', { client_id: clientId, token, ...more }),

    get: (path: string, headers: Fields = {}) => post(path, { headers }),

    /** A tool's raw answer with an access token, status and challenge included. */
    callTool: (accessToken: string, tool: string, args: Record<string, unknown> = {}) =>
      post('/mcp', {
        method: 'POST',
        headers: {
          authorization: `Bearer ${accessToken}`,
          'content-type': 'application/json',
          accept: 'application/json, text/event-stream',
        },
        body: JSON.stringify({
          jsonrpc: '2.0',
          id: 1,
          method: 'tools/call',
          params: { name: `claude-api-gateway_${tool}`, arguments: args },
        }),
      }),
  }
}

async function answerOf(response: Promise<Response>): Promise<Answer> {
  const { status, headers, ...rest } = await response.then(async (answer) => ({
    status: answer.status,
    headers: answer.headers,
    text: await answer.text(),
  }))
  return { status, headers, body: parsed(rest.text) }
}

function parsed(text: string): Json {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
