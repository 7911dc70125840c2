/**
 * Clients that are known by a document at their own https address (OAuth Client ID Metadata
 * Documents), with a gateway in a process of its own: who trusts which certificate is decided there
 * at the start.
 */

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { decodeJwt } from 'jose'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type ClaudeStandIn, startClaudeStandIn } from '../support/claude-stand-in/server.ts'
import { eras } from '../support/clients.ts'
import { type DocumentHost, startDocumentHost } from '../support/document-host.ts'
import { freePort } from '../support/free-port.ts'
import { type GatewayProcess, startGatewayProcess } from '../support/gateway-process.ts'
import { connectByOAuth, MemoryCredentials } from '../support/oauth-client.ts'
import { createFlow, LOOPBACK_REDIRECT, type OAuthFlow } from '../support/oauth-flow.ts'
import { newPerson, type Person } from '../support/oauth-person.ts'

/** Each start of a process takes seconds on a busy machine. */
const PROCESS_TIMEOUT_MS = 120_000
const KIBIBYTE = 1024

/** As Claude Code publishes it. */
const CLAUDE_CODE = {
  client_name: 'Claude Code',
  client_uri: 'https://claude.ai',
  redirect_uris: ['http://localhost/callback', 'http://127.0.0.1/callback'],
  grant_types: ['authorization_code', 'refresh_token'],
  response_types: ['code'],
  token_endpoint_auth_method: 'none',
}

describe('a client with a document', { timeout: PROCESS_TIMEOUT_MS }, () => {
  let folder: string
  let host: DocumentHost
  let claude: ClaudeStandIn
  let gateway: GatewayProcess
  let flow: OAuthFlow
  let person: Person
  const idOf = (path: string) => `${host.url}${path}`

  /** By path; each says of itself what its path is, unless it says something else. */
  const documents: Record<string, Record<string, unknown>> = {
    '/oauth/claude-code-client-metadata': CLAUDE_CODE,
    '/native': {
      client_name: 'A native app',
      redirect_uris: [LOOPBACK_REDIRECT, 'com.example.app:/callback'],
      grant_types: [...CLAUDE_CODE.grant_types, 'urn:ietf:params:oauth:grant-type:device_code'],
      scope: 'conversations:read',
      token_endpoint_auth_method: 'none',
    },
    '/of-somebody-else': { ...CLAUDE_CODE, client_id: 'https://claude.ai/oauth/metadata' },
    '/with-secret': { ...CLAUDE_CODE, client_secret: 'hush' },
    '/shared-secret': { ...CLAUDE_CODE, token_endpoint_auth_method: 'client_secret_post' },
    '/plain-http': { ...CLAUDE_CODE, redirect_uris: ['http://evil.example/callback'] },
    '/dangerous': { ...CLAUDE_CODE, redirect_uris: [LOOPBACK_REDIRECT, 'ms-msdt:/id'] },
    '/too-large': { ...CLAUDE_CODE, contacts: ['x'.repeat(16 * KIBIBYTE)] },
  }

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gateway-client-document-'))
    host = await startDocumentHost(({ url: path = '' }, res) => {
      const document = documents[path]
      if (path === '/moved') return void res.writeHead(302, { location: '/native' }).end()
      if (!document) return void res.writeHead(404).end()
      res.setHeader('Content-Type', 'application/json')
      res.end(JSON.stringify({ client_id: idOf(path), ...document }))
    })
    claude = await startClaudeStandIn()
    const port = await freePort()
    gateway = await startGatewayProcess({
      PORT: String(port),
      PUBLIC_URL: `http://127.0.0.1:${port}`,
      DATA_DIR: join(folder, 'data'),
      ANTHROPIC_BASE_URL: claude.url,
      NODE_EXTRA_CA_CERTS: host.certificateFile,
      PRIVATE_CLIENT_HOSTS: 'localhost',
    })
    flow = createFlow(gateway.url)
    person = newPerson(gateway.url)
  }, PROCESS_TIMEOUT_MS)
  afterAll(async () => {
    await gateway?.stop()
    await host?.close()
    await claude?.close()
    if (folder) await rm(folder, { recursive: true, force: true })
  })

  async function refusal(clientId: string, redirectUri?: string): Promise<string> {
    const { url } = flow.authorization(clientId, redirectUri ? { redirectUri } : {})
    const answer = await fetch(url, { redirect: 'manual' })
    expect([answer.status, answer.headers.get('location')]).toEqual([400, null])
    return answer.text()
  }

  test.each(eras)('connects without registering (%s era)', async (era) => {
    const documentUrl = idOf('/native')
    const credentials = new MemoryCredentials({ documentUrl })
    const url = `${gateway.url}/mcp`
    const { client } = await connectByOAuth(era, url, person, { credentials })
    expect(credentials.client?.client_id).toBe(documentUrl)
    expect((await client.call('get_conversations')).isError).toBe(false)
    if (credentials.current) credentials.current.access_token = 'gone'
    expect((await client.call('get_conversations')).isError).toBe(false)
    expect([credentials.timesAsked, credentials.timesIssued]).toEqual([1, 2])
    await client.close()
  })

  test.each(['http://localhost:61234/callback', 'http://127.0.0.1:50505/callback'])(
    'like Claude Code comes back on whatever port it has (%s)',
    async (redirectUri) => {
      const clientId = idOf('/oauth/claude-code-client-metadata')
      const asked = flow.authorization(clientId, { redirectUri, scope: 'account messages:send' })
      const consent = await person.openConsent(asked.url)
      expect(consent.text).toContain('Claude Code')
      expect(consent.text).toContain(new URL(host.url).host)
      const callback = await person.decide()
      expect(`${callback.origin}${callback.pathname}`).toBe(redirectUri)
      const { status, body } = await flow.exchange(asked, callback)
      expect([status, decodeJwt(body.access_token).client_id]).toEqual([200, clientId])
      expect((await flow.refresh(clientId, body.refresh_token)).status).toBe(200)
    },
  )

  test('is fetched once for many uses', async () => {
    const fetched = host.requests.filter((path) => path === '/native')
    expect(fetched).toHaveLength(1)
  })

  test('is held to the addresses in it', async () => {
    const clientId = idOf('/oauth/claude-code-client-metadata')
    for (const redirectUri of [
      'http://localhost:61234/elsewhere',
      'https://localhost:61234/callback',
      'http://evil.example/callback',
    ]) {
      expect(await refusal(clientId, redirectUri)).toContain('redirect_uri')
    }
  })

  test.each([
    ['speaks for another client', '/of-somebody-else'],
    ['holds a secret', '/with-secret'],
    ['wants a shared secret', '/shared-secret'],
    ['comes back over plain http', '/plain-http'],
    ['would start a program', '/dangerous'],
    ['is too large', '/too-large'],
    ['is not there', '/missing'],
    ['lies where a redirect points', '/moved'],
  ])('is refused when the document %s', async (_what, path) => {
    const before = host.requests.length
    await refusal(idOf(path), 'http://localhost:61234/callback')
    // Nothing else was asked for: the redirect was not followed.
    expect(new Set(host.requests.slice(before))).toEqual(new Set([path]))
    const { status, body } = await flow.refresh(idOf(path), 'anything')
    expect([path, status >= 400, body.error]).toEqual([
      path,
      true,
      expect.stringMatching(/^invalid_client/),
    ])
  })

  test.each([
    [
      'by its address instead of its allowed name',
      () => idOf('/native').replace('localhost', '127.0.0.1'),
    ],
    [
      'by its address in another spelling',
      () => idOf('/native').replace('localhost', '2130706433'),
    ],
    ['by its IPv6 address', () => idOf('/native').replace('localhost', '[::ffff:127.0.0.1]')],
    ['of a cloud’s metadata', () => 'https://169.254.169.254/latest/meta-data'],
    ['over plain http', () => idOf('/native').replace('https:', 'http:')],
  ])('is not fetched %s', async (_what, clientId) => {
    const before = host.requests.length
    await refusal(clientId())
    expect(host.requests.length).toBe(before)
  })
})
