/** What a refresh token is worth when it comes again, and how a connection ends by RFC 7009. */

import { afterAll, beforeAll, expect, test } from 'vitest'
import { hashOf } from '../../src/services/access/sessions.ts'
import { describeDatabases } from '../support/databases.ts'
import { startOAuthApp } from '../support/oauth-app.ts'
import { createFlow, LOOPBACK_REDIRECT, type OAuthFlow } from '../support/oauth-flow.ts'
import { newPerson, type Person } from '../support/oauth-person.ts'
import type { TestApp } from '../support/start-app.ts'

type Tokens = Record<'access_token' | 'refresh_token', string>

/** Longer than a refresh token may be repeated. */
const LATER_SECONDS = 31

describeDatabases('a connection', (kind) => {
  let app: TestApp
  let flow: OAuthFlow
  let person: Person
  beforeAll(async () => {
    app = await startOAuthApp({ kind })
    flow = createFlow(app.baseUrl)
    person = newPerson(app.baseUrl)
  })
  afterAll(() => app.close())

  async function connect(): Promise<{ clientId: string } & Tokens> {
    const asked = flow.authorization(await flow.newClient())
    const { status, body } = await flow.exchange(asked, await person.answer(asked.url))
    expect(status).toBe(200)
    return { clientId: asked.clientId, ...(body as Tokens) }
  }

  async function refreshed(clientId: string, refreshToken: string): Promise<Tokens> {
    const { status, body, headers } = await flow.refresh(clientId, refreshToken)
    expect([status, headers.get('cache-control')]).toEqual([200, 'no-store'])
    return body as Tokens
  }

  const statusOf = async (accessToken: string) =>
    (await flow.callTool(accessToken, 'get_conversations')).status

  /** As if the token had been used so much earlier. */
  async function letPass(refreshToken: string, seconds: number): Promise<void> {
    const { db } = app.app
    const record = await db
      .selectFrom('oauthRecords')
      .select('consumedAt')
      .where('key', '=', hashOf(refreshToken))
      .executeTakeFirstOrThrow()
    const consumedAt = new Date((record.consumedAt?.getTime() ?? 0) - seconds * 1000)
    expect(record.consumedAt).not.toBeNull()
    await db
      .updateTable('oauthRecords')
      .set({ consumedAt })
      .where('key', '=', hashOf(refreshToken))
      .execute()
  }

  const isOver = async (clientId: string, { access_token, refresh_token }: Tokens) => {
    const { status, body } = await flow.refresh(clientId, refresh_token)
    return (
      (await statusOf(access_token)) === 401 && status === 400 && body.error === 'invalid_grant'
    )
  }

  test('goes on when the answer to a refresh was lost, or a second process refreshes too', async () => {
    const { clientId, refresh_token } = await connect()
    const first = await refreshed(clientId, refresh_token)
    const again = await refreshed(clientId, refresh_token)
    expect(again.refresh_token).toBe(first.refresh_token)
    expect(again.refresh_token).not.toBe(refresh_token)
    for (const { access_token } of [first, again]) expect(await statusOf(access_token)).toBe(200)
    // Also when the successor has been used in between.
    const second = await refreshed(clientId, first.refresh_token)
    expect((await refreshed(clientId, refresh_token)).refresh_token).toBe(first.refresh_token)
    expect((await refreshed(clientId, first.refresh_token)).refresh_token).toBe(
      second.refresh_token,
    )
    expect(await statusOf(second.access_token)).toBe(200)
  })

  test('has one chain, however many refresh at once', async () => {
    const { clientId, refresh_token } = await connect()
    let current = refresh_token
    for (let round = 0; round < 3; round++) {
      const answers = await Promise.all(
        Array.from({ length: 8 }, () => refreshed(clientId, current)),
      )
      const successors = new Set(answers.map((answer) => answer.refresh_token))
      expect(successors.size).toBe(1)
      expect(await statusOf(answers[round]?.access_token ?? '')).toBe(200)
      current = [...successors][0] ?? ''
    }
    const grant = app.app.db
      .selectFrom('oauthRecords')
      .select('grantId')
      .where('key', '=', hashOf(current))
    const { live } = await app.app.db
      .selectFrom('oauthRecords')
      .select((select) => select.fn.countAll<string>().as('live'))
      .where('model', '=', 'RefreshToken')
      .where('consumedAt', 'is', null)
      .where('grantId', '=', grant)
      .executeTakeFirstOrThrow()
    expect(Number(live)).toBe(1)
  })

  test('ends when a refresh token comes again later', async () => {
    const { clientId, access_token, refresh_token } = await connect()
    const first = await refreshed(clientId, refresh_token)
    await letPass(refresh_token, LATER_SECONDS)
    const late = await flow.refresh(clientId, refresh_token)
    expect([late.status, late.body.error]).toEqual([400, 'invalid_grant'])
    expect(await isOver(clientId, first)).toBe(true)
    expect(await statusOf(access_token)).toBe(401)
  })

  test('does not go on, and does not end, by another client that has the token', async () => {
    const { clientId, refresh_token } = await connect()
    const stranger = await flow.newClient()
    const first = await refreshed(clientId, refresh_token)
    for (const token of [refresh_token, first.refresh_token]) {
      const stolen = await flow.refresh(stranger, token)
      expect([stolen.status, stolen.body.error]).toEqual([400, 'invalid_grant'])
    }
    expect(await statusOf(first.access_token)).toBe(200)
  })

  test('that was ended gets no successor, repeated or not', async () => {
    const { clientId, refresh_token } = await connect()
    const first = await refreshed(clientId, refresh_token)
    expect((await flow.revoke(clientId, first.refresh_token)).status).toBe(200)
    const repeated = await flow.refresh(clientId, refresh_token)
    expect([repeated.status, repeated.body.error]).toEqual([400, 'invalid_grant'])
    expect(await isOver(clientId, first)).toBe(true)
  })

  test('ends on what an older build consumed without a successor', async () => {
    const { clientId, refresh_token } = await connect()
    await app.app.repositories.oauthRecords.consume('RefreshToken', hashOf(refresh_token))
    const { status, body } = await flow.refresh(clientId, refresh_token)
    expect([status, body.error]).toEqual([400, 'invalid_grant'])
  })

  test.each(['access_token', 'refresh_token', undefined])(
    'ends by its access token (hint: %s), at once',
    async (hint) => {
      const { clientId, ...tokens } = await connect()
      const more: Record<string, string> = hint === undefined ? {} : { token_type_hint: hint }
      const { status, body, headers } = await flow.revoke(clientId, tokens.access_token, more)
      expect([status, body, headers.get('cache-control')]).toEqual([200, '', 'no-store'])
      expect(await isOver(clientId, tokens)).toBe(true)
      expect((await flow.revoke(clientId, tokens.access_token)).status).toBe(200)
    },
  )

  test('ends by no token that is forged, spoiled, another client’s or no connection’s', async () => {
    const { clientId, ...tokens } = await connect()
    const [header = '', payload = '', signature = ''] = tokens.access_token.split('.')
    const other = await connect()
    const user = await app.register()
    const attempts: [string, string][] = [
      [other.clientId, tokens.access_token],
      [clientId, `${header}.${payload}.${signature.slice(0, -8)}AAAAAAAA`],
      [clientId, `${header}.${payload}.`],
      [clientId, `${Buffer.from('{"alg":"none"}').toString('base64url')}.${payload}.`],
      [clientId, `${header}.${other.access_token.split('.')[1]}.${signature}`],
      [clientId, user.accessToken],
    ]
    for (const [client, token] of attempts) {
      const { status, body } = await flow.revoke(client, token)
      expect([status, body]).toEqual([200, ''])
    }
    expect(await statusOf(tokens.access_token)).toBe(200)
    expect(await statusOf(other.access_token)).toBe(200)
    expect(await statusOf(user.accessToken)).toBe(200)
  })

  test('of a client with a secret ends by its access token only with the secret', async () => {
    const given = {
      redirect_uris: [LOOPBACK_REDIRECT],
      token_endpoint_auth_method: 'client_secret_post',
    }
    const { client_id: id, client_secret } = (await flow.register(given)).body
    const asked = flow.authorization(id)
    const callback = await person.answer(asked.url)
    const { body } = await flow.exchange(asked, callback, { client_secret })
    const without = await flow.revoke(id, body.access_token)
    expect([without.status, without.body.error]).toEqual([401, 'invalid_client'])
    expect(await statusOf(body.access_token)).toBe(200)
    expect((await flow.revoke(id, body.access_token, { client_secret })).status).toBe(200)
    expect(await statusOf(body.access_token)).toBe(401)
  })
})
