/** A user without an Anthropic key is sent to the page for it, by whatever means their client has. */

import {
  Client as ModernClient,
  StreamableHTTPClientTransport as ModernTransport,
} from '@modelcontextprotocol/client'
import { Client as LegacyClient } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport as LegacyTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { UrlElicitationRequiredError } from '@modelcontextprotocol/sdk/types.js'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { describeDatabases } from '../../support/databases.ts'
import { personalToken, type SignedUp, signUp } from '../../support/signed-up.ts'
import { eras, startApp, type TestApp } from '../../support/start-app.ts'

const SEND = { name: 'claude-api-gateway_send_message', arguments: { message: 'hello' } }
const OPENS_LINKS = { capabilities: { elicitation: { url: {} } } }
const FORMS_ONLY = { capabilities: { elicitation: {} } }

describeDatabases('send_message without a key', (kind) => {
  let app: TestApp
  let user: SignedUp
  let token: string
  const clients: { close(): Promise<void> }[] = []

  beforeAll(async () => {
    app = await startApp({ kind, env: { PUBLIC_URL: 'https://gateway.example' } })
  })
  beforeEach(async () => {
    app.claude.reset()
    user = await signUp(app)
    token = (await personalToken(app, user.caller)).token
  })
  afterEach(async () => {
    for (const client of clients.splice(0)) await client.close()
  })
  afterAll(() => app.close())

  const requestInit = () => ({ headers: { Authorization: `Bearer ${token}` } })
  const storeKey = () =>
    app.app.services.accounts.replaceKey(user.caller, 'sk-ant-api03-now-it-is-there')

  async function expectOwnLink(url: unknown): Promise<void> {
    expect(url).toMatch(/^https:\/\/gateway\.example\/account\/key\?link=link_/)
    const link = new URL(String(url)).searchParams.get('link') ?? ''
    expect(await app.app.services.keyLinks.belongsTo(link, user.userId)).toBe(true)
  }

  async function expectNothingStored(): Promise<void> {
    expect(app.claude.messageRequests()).toEqual([])
    const none = { conversations: 0, messages: 0, usageRows: 0 }
    expect(await app.app.services.exports.counts(user.caller)).toEqual(none)
  }

  describe.each(eras)('a client that opens no links (%s)', (era) => {
    test('gets a tool error with a link, and its answer once the key is there', async () => {
      const client = await app.connect(era, token)
      const args = { message: 'hello', idempotency_key: 'the same call' }
      const refused = await client.call('send_message', args)
      expect(refused.isError).toBe(true)
      const { error } = refused.structured
      expect(error).toMatchObject({ code: 'api_key_missing', retryable: false })
      expect(error.message).toContain(error.details.url)
      expect(Date.parse(error.details.expires_at)).toBeGreaterThan(Date.now())
      await expectOwnLink(error.details.url)
      await expectNothingStored()

      await storeKey()
      const answered = await client.call('send_message', args)
      expect(answered.structured.data).toMatchObject({ status: 'complete', replayed: false })
    })
  })

  describe('a client that opens links (modern)', () => {
    async function connect(onLink: (url: unknown) => Promise<'accept' | 'decline'>) {
      const client = new ModernClient(
        { name: 'opens-links', version: '1.0.0' },
        { ...OPENS_LINKS, versionNegotiation: { mode: { pin: '2026-07-28' } } },
      )
      clients.push(client)
      client.setRequestHandler('elicitation/create', async ({ params }) => ({
        action: await onLink((params as { url?: unknown }).url),
      }))
      await client.connect(new ModernTransport(new URL(app.url), { requestInit: requestInit() }))
      return client
    }

    test('is asked to, and the call goes on when the key is there', async () => {
      const urls: unknown[] = []
      const client = await connect(async (url) => {
        urls.push(url)
        await expectNothingStored()
        await storeKey()
        return 'accept'
      })
      const result = await client.callTool(SEND)
      expect(result.structuredContent).toMatchObject({ data: { status: 'complete' } })
      expect(urls).toHaveLength(1)
      await expectOwnLink(urls[0])
      expect(app.claude.messageRequests()).toHaveLength(1)
    })

    test.each(['accept', 'decline'] as const)(
      '%s without a key leads to the tool error, not to a second question',
      async (action) => {
        let questions = 0
        const client = await connect(async () => {
          questions += 1
          return action
        })
        const result = await client.callTool(SEND)
        expect(result.isError).toBe(true)
        expect(result.structuredContent).toMatchObject({ error: { code: 'api_key_missing' } })
        expect(questions).toBe(1)
        await expectNothingStored()
      },
    )
  })

  describe('a client that opens links (legacy)', () => {
    async function connect(options: ConstructorParameters<typeof LegacyClient>[1]) {
      const client = new LegacyClient({ name: 'opens-links', version: '1.0.0' }, options)
      clients.push(client)
      const transport = new LegacyTransport(new URL(app.url), { requestInit: requestInit() })
      await client.connect(transport as never)
      return client
    }

    test('gets the link as error -32042, and its answer once the key is there', async () => {
      const client = await connect(OPENS_LINKS)
      const error = await client.callTool(SEND).catch((thrown: unknown) => thrown)
      expect(error).toBeInstanceOf(UrlElicitationRequiredError)
      const { code, elicitations } = error as UrlElicitationRequiredError
      expect(code).toBe(-32042)
      expect(elicitations).toEqual([
        {
          mode: 'url',
          elicitationId: expect.stringMatching(/^[0-9a-f-]{36}$/),
          url: expect.any(String),
          message: expect.stringContaining('key'),
        },
      ])
      await expectOwnLink(elicitations[0]?.url)
      await expectNothingStored()

      await storeKey()
      const answered = await client.callTool(SEND)
      expect(answered.structuredContent).toMatchObject({ data: { status: 'complete' } })
    })

    test('counts as what it said when it connected last, and for its own token only', async () => {
      const codeOf = async (client: LegacyClient) => {
        const result = await client.callTool(SEND)
        return (result.structuredContent as { error?: { code: string } }).error?.code
      }
      await connect(OPENS_LINKS)
      const formsOnly = await connect(FORMS_ONLY)
      expect(await codeOf(formsOnly)).toBe('api_key_missing')
      const opensLinks = await connect(OPENS_LINKS)
      token = (await personalToken(app, user.caller, user.caller.scopes, 'another')).token
      const other = await connect({})
      expect(await codeOf(other)).toBe('api_key_missing')
      await expect(opensLinks.callTool(SEND)).rejects.toMatchObject({ code: -32042 })
    })
  })
})
