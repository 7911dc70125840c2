/** What a person's decision is worth, and what the authorization server keeps of it. */

import { randomBytes } from 'node:crypto'
import { decodeJwt } from 'jose'
import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openDatabase } from '../../src/database/open.ts'
import { createRepositories } from '../../src/repositories/index.ts'
import { hashOf } from '../../src/services/access/sessions.ts'
import { dumpTables, placesOf, readFiles } from '../security/at-rest.ts'
import {
  describeDatabases,
  type FreshDatabase,
  freshDatabaseOptions,
} from '../support/databases.ts'
import { lockWaiters } from '../support/lock-waiters.ts'
import { startOAuthApp } from '../support/oauth-app.ts'
import {
  type Authorization,
  createFlow,
  LOOPBACK_REDIRECT,
  type OAuthFlow,
} from '../support/oauth-flow.ts'
import { type Choices, newPerson, type Person } from '../support/oauth-person.ts'
import type { TestApp } from '../support/start-app.ts'

const DAY_MS = 86_400_000
const DEFAULT_SCOPES = ['conversations:read', 'messages:send', 'teams:read', 'usage:read']
const sorted = (scope: unknown) => String(scope).split(' ').sort()

describeDatabases('grants', (kind) => {
  let fresh: FreshDatabase
  let app: TestApp
  let flow: OAuthFlow
  let person: Person
  const encryptionKey = randomBytes(32).toString('base64')
  beforeAll(async () => {
    fresh = await freshDatabaseOptions(kind)
    const env = { ENCRYPTION_KEY: encryptionKey }
    app = await startOAuthApp({ kind, database: fresh, env })
    flow = createFlow(app.baseUrl)
    person = newPerson(app.baseUrl)
  })
  afterAll(() => fresh.drop())

  async function connect(asked: Authorization, choices: Choices = {}) {
    const callback = await person.answer(asked.url, choices)
    const { status, body } = await flow.exchange(asked, callback)
    expect([status, body]).toMatchObject([200, { token_type: 'Bearer', expires_in: 900 }])
    return { callback, ...(body as Record<'access_token' | 'refresh_token' | 'scope', string>) }
  }

  test('what the person chose is what the connection is', async () => {
    const asked = flow.authorization(await flow.newClient({ client_name: 'Chosen' }), {
      scope: 'account messages:send usage:read offline_access',
    })
    const before = Date.now()
    const scopes = ['messages:send', 'usage:read']
    const { access_token, scope } = await connect(asked, { scopes, days: '7', cap: '12.50' })
    expect(sorted(scope)).toEqual(scopes)
    expect(sorted(decodeJwt(access_token).scope)).toEqual(scopes)
    const { sessions } = app.app.services
    const listed = await sessions.list(await sessions.resolve(access_token))
    const own = listed.find(({ isCurrent }) => isCurrent)
    expect(own).toMatchObject({
      kind: 'connection',
      name: 'Chosen',
      clientId: asked.clientId,
      limitNanoUsd: 12_500_000_000n,
    })
    expect(Number(own?.expiresAt) - before - 7 * DAY_MS).toBeLessThan(60_000)
    expect(Number(own?.expiresAt) - before - 7 * DAY_MS).toBeGreaterThanOrEqual(0)
    expect((await flow.callTool(access_token, 'get_conversations')).status).toBe(403)
  })

  test.each([
    ['no scope', undefined],
    ['only scopes of its own making', 'mcp:use openid'],
    ['no resource', undefined],
    ['openid with a nonce', 'openid'],
  ])('a client that names %s gets what most need, for /mcp', async (what, scope) => {
    const others = {
      'no resource': { resource: undefined },
      'openid with a nonce': { nonce: 'n-0S6', max_age: '600' },
    }
    const other = others[what as keyof typeof others]
    const asked = flow.authorization(await flow.newClient(), { scope, ...other })
    const { access_token } = await connect(asked)
    const claims = decodeJwt(access_token)
    expect([claims.aud, sorted(claims.scope)]).toEqual([app.mcpUrl, DEFAULT_SCOPES])
    expect((await flow.callTool(access_token, 'get_conversations')).status).toBe(200)
  })

  test('a client that asks again keeps its connection, and what that has spent', async () => {
    const client = await flow.newClient({ client_name: 'Twice' })
    const few = { scope: 'messages:send usage:read' }
    const first = await connect(flow.authorization(client, few), { cap: '0.01' })
    const send = (token: string) => flow.callTool(token, 'send_message', { message: 'hello' })
    expect((await send(first.access_token)).status).toBe(200)
    const asked = flow.authorization(client, { scope: 'messages:send usage:read account' })
    const page = await person.openConsent(asked.url)
    expect(page.text).toContain('It is connected already, with a limit of $0.01 a month')
    const all = { scopes: ['messages:send', 'usage:read', 'account'] }
    const { callback, ...again } = await connect(asked, all)
    expect(callback.searchParams.has('code')).toBe(true)
    const [before, after] = [first, again].map(({ access_token }) => decodeJwt(access_token))
    expect([after?.jti, sorted(after?.scope)]).toEqual([
      before?.jti,
      ['account', 'messages:send', 'usage:read'],
    ])
    const budget = await flow.callTool(again.access_token, 'get_budget')
    const { connection } = JSON.parse(budget.body.result.content[0].text).data
    expect(connection.limit_usd).toBe(0.01)
    expect(connection.spent_usd).toBeGreaterThan(0)
    expect(connection.remaining_usd).toBeCloseTo(0.01 - connection.spent_usd, 9)
  })

  test.each(['client_secret_basic', 'client_secret_post'] as const)(
    'a client with a secret has to show it (%s)',
    async (token_endpoint_auth_method) => {
      const given = { redirect_uris: [LOOPBACK_REDIRECT], token_endpoint_auth_method }
      const { client_id: id, client_secret: secret } = (await flow.register(given)).body
      const isPost = token_endpoint_auth_method === 'client_secret_post'
      const basic = `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}`
      const [fields, headers] = isPost
        ? [{ client_secret: secret }, {}]
        : [{}, { authorization: basic }]
      const asked = flow.authorization(id)
      const callback = await person.answer(asked.url)
      const without = await flow.exchange(asked, callback)
      expect([without.status, without.body.error]).toEqual([401, 'invalid_client'])
      const { status, body } = await flow.exchange(asked, callback, fields, headers)
      expect([status, body.token_type]).toEqual([200, 'Bearer'])
      const stolen = await flow.refresh(id, body.refresh_token)
      expect([stolen.status, stolen.body.error]).toEqual([401, 'invalid_client'])
    },
  )

  test('of exchanges at the same moment of the same code one gets tokens', async () => {
    const asked = flow.authorization(await flow.newClient())
    const callback = await person.answer(asked.url)
    const answers = await atOnce(4, callback, () => flow.exchange(asked, callback))
    const refused = answers.filter(({ status }) => status !== 200)
    expect(refused.map(({ status, body }) => [status, body.error])).toEqual(
      Array.from({ length: 3 }, () => [400, 'invalid_grant']),
    )
  })

  /**
   * All have found the code not used when the first uses it: one that comes later ends the
   * connection, and with it what the first got.
   */
  async function atOnce<T>(count: number, callback: URL, exchange: () => Promise<T>): Promise<T[]> {
    const code = hashOf(callback.searchParams.get('code') ?? '')
    const exchanges = await app.app.db.transaction().execute(async (tx) => {
      await sql`select from oauth_records where key = ${code} for update`.execute(tx)
      const begun = Array.from({ length: count }, exchange)
      // The embedded database has one session, for which they wait in turn at each step.
      if (kind === 'postgresql') {
        await expect.poll(() => lockWaiters(app.app.db)).toBe(count)
      }
      return { begun }
    })
    return Promise.all(exchanges.begun)
  }

  test('another resource is refused at the token endpoint, too', async () => {
    const asked = flow.authorization(await flow.newClient())
    const { refresh_token } = await connect(asked)
    const refreshed = await flow.refresh(asked.clientId, refresh_token, { resource: app.mcpUrl })
    expect([refreshed.status, decodeJwt(refreshed.body.access_token).aud]).toEqual([
      200,
      app.mcpUrl,
    ])
    const resource = 'https://elsewhere.example/mcp'
    const next = refreshed.body.refresh_token
    const refused = await flow.refresh(asked.clientId, next, { resource })
    expect([refused.status, refused.body.error]).toEqual([400, 'invalid_target'])
  })

  /** Closes the gateway: the embedded database is for one at a time. */
  test('nothing of it is kept in clear, and nothing longer than it is good for', async () => {
    const secretClient = await flow.register({ redirect_uris: [LOOPBACK_REDIRECT] })
    const unused = await flow.newClient({ client_name: 'Unused' })
    const used = await flow.newClient({ client_name: 'Used' })
    const asked = flow.authorization(used, { state: randomBytes(16).toString('hex') })
    const tokens = await connect(asked, { days: '30' })
    const { body: refreshed } = await flow.refresh(used, tokens.refresh_token)
    const pending = flow.authorization(used, { state: randomBytes(16).toString('hex') })
    const consent = await person.openConsent(pending.url)
    const open = await person.answer(flow.authorization(await flow.newClient()).url)
    const secrets = {
      code: tokens.callback.searchParams.get('code') ?? '',
      openCode: open.searchParams.get('code') ?? '',
      accessToken: tokens.access_token,
      signature: tokens.access_token.split('.')[2] ?? '',
      refreshToken: tokens.refresh_token,
      nextRefreshToken: refreshed.refresh_token,
      clientSecret: secretClient.body.client_secret,
      state: asked.state,
      pendingState: pending.state,
      flow: consent.url.pathname.split('/')[2] ?? '',
      browser: person.browser.cookies.get('session') ?? '',
      password: person.password,
      apiKey: person.apiKey,
    }
    const logged = app.logLines.join('')
    await app.close()
    const database = await openDatabase(fresh)
    try {
      const dump = await dumpTables(database.db)
      const everywhere = new Map([
        ...dump,
        ...readFiles(fresh.dataDir),
        ['log', Buffer.from(logged)],
      ])
      for (const [name, secret] of Object.entries(secrets)) {
        expect([name, secret.length > 8, placesOf(secret, everywhere)]).toEqual([name, true, []])
      }
      // The search finds what is there: a client's id is no secret, and an account's name neither.
      expect(placesOf(person.username, everywhere)).not.toEqual([])

      const { sessionEnd, endOf } = await ends(database, tokens.access_token)
      const [unusedEnd, usedEnd] = [await endOf('Client', unused), await endOf('Client', used)]
      expect(Math.abs(unusedEnd - Date.now() - DAY_MS)).toBeLessThan(300_000)
      expect(Math.abs(usedEnd - sessionEnd - DAY_MS)).toBeLessThan(5000)
      const nextEnd = await endOf('RefreshToken', refreshed.refresh_token)
      expect(Math.abs(nextEnd - sessionEnd)).toBeLessThan(5000)

      const { oauthRecords } = createRepositories(database.db)
      await database.db
        .updateTable('oauthRecords')
        .set({ expiresAt: new Date(Date.now() - 1000) })
        .where('key', '=', hashOf(unused))
        .execute()
      expect(await oauthRecords.find('Client', { key: hashOf(unused) })).toBeUndefined()
      await oauthRecords.deleteExpired()
      expect(await endOf('Client', unused)).toBeNaN()
      expect(await endOf('Client', used)).toBe(usedEnd)
    } finally {
      await database.close()
    }
  })
})

/** When records of the authorization server, and a token's session, end; NaN for none. */
async function ends({ db }: Awaited<ReturnType<typeof openDatabase>>, accessToken: string) {
  const endOf = async (model: string, id: string) => {
    const row = await db
      .selectFrom('oauthRecords')
      .select('expiresAt')
      .where('model', '=', model)
      .where('key', '=', hashOf(id))
      .executeTakeFirst()
    return row?.expiresAt ? row.expiresAt.getTime() : Number.NaN
  }
  const session = await db
    .selectFrom('sessions')
    .select('expiresAt')
    .where('id', '=', decodeJwt(accessToken).jti ?? '')
    .executeTakeFirstOrThrow()
  return { endOf, sessionEnd: session.expiresAt.getTime() }
}
