/** Two gateways on one PostgreSQL behind one address, every other request to the other. */

import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startSecondReplica } from '../mcp/second-replica.ts'
import { hasPostgresql } from '../support/databases.ts'
import { connectByOAuth } from '../support/oauth-client.ts'
import { createFlow, type OAuthFlow } from '../support/oauth-flow.ts'
import { newPerson, type Person } from '../support/oauth-person.ts'
import { type RoundRobin, startRoundRobin } from '../support/round-robin.ts'
import { connectClient, eras, startApp, type TestApp } from '../support/start-app.ts'

describe.runIf(hasPostgresql)('two replicas', () => {
  let proxy: RoundRobin
  let first: TestApp
  let second: Awaited<ReturnType<typeof startSecondReplica>>
  let flow: OAuthFlow
  let person: Person
  beforeAll(async () => {
    proxy = await startRoundRobin()
    first = await startApp({ kind: 'postgresql', env: { PUBLIC_URL: proxy.url } })
    second = await startSecondReplica(first)
    proxy.replicas.push(first.baseUrl, new URL(second.url).origin)
    flow = createFlow(proxy.url)
    person = newPerson(proxy.url)
  })
  afterAll(async () => {
    await proxy.close()
    await second.close()
    await first.close()
  })

  /** What each replica answers to a call with this token. */
  const statuses = (accessToken: string) =>
    Promise.all(
      proxy.replicas.map(async (origin) => {
        const { status } = await createFlow(origin).callTool(accessToken, 'get_conversations')
        return status
      }),
    )

  test.each(eras)('the whole way of a client goes through both (%s era)', async (era) => {
    const before = [...proxy.counts]
    const url = `${proxy.url}/mcp`
    const { client, credentials } = await connectByOAuth(era, url, person)
    const sent = await client.call('send_message', { message: 'Hello to both' })
    expect(sent.structured.data.content).toBe('Hello to both')
    const { access_token = '' } = credentials.current ?? {}
    expect(await statuses(access_token)).toEqual([200, 200])
    await client.close()

    // What is no token of this gateway makes the client refresh, too.
    if (credentials.current) credentials.current.access_token = randomBytes(20).toString('hex')
    const later = await connectClient(era, url, credentials)
    expect((await later.call('get_conversations')).isError).toBe(false)
    expect([credentials.timesAsked, credentials.timesIssued]).toEqual([1, 2])
    await later.close()
    const [one = 0, other = 0] = proxy.counts.map((count, i) => count - (before[i] ?? 0))
    expect(Math.abs(one - other)).toBeLessThanOrEqual(1)
    expect(one).toBeGreaterThan(5)
  })

  async function connect() {
    const asked = flow.authorization(await flow.newClient({ client_name: 'Of both' }))
    const callback = await person.answer(asked.url)
    const { status, body } = await flow.exchange(asked, callback)
    expect(status).toBe(200)
    expect(await statuses(body.access_token)).toEqual([200, 200])
    return { asked, callback, ...(body as Record<'access_token' | 'refresh_token', string>) }
  }

  const expectOver = async (clientId: string, accessToken: string, refreshToken: string) => {
    expect(await statuses(accessToken)).toEqual([401, 401])
    for (const origin of proxy.replicas) {
      const { status, body } = await createFlow(origin).refresh(clientId, refreshToken)
      expect([status, body.error]).toEqual([400, 'invalid_grant'])
    }
  }

  test('a refresh token that is used on both gets the same successor on both', async () => {
    const { asked, refresh_token } = await connect()
    const [here, there] = proxy.replicas.map(createFlow) as [OAuthFlow, OAuthFlow]
    const used = await here.refresh(asked.clientId, refresh_token)
    const repeated = await there.refresh(asked.clientId, refresh_token)
    expect([used.status, repeated.status]).toEqual([200, 200])
    expect(repeated.body.refresh_token).toBe(used.body.refresh_token)
    expect(used.body.refresh_token).not.toBe(refresh_token)
    expect(await statuses(repeated.body.access_token)).toEqual([200, 200])
  })

  test('refreshes on both at the same moment get one successor', async () => {
    const { asked, refresh_token } = await connect()
    const answers = await Promise.all(
      [...proxy.replicas, ...proxy.replicas, ...proxy.replicas].map((origin) =>
        createFlow(origin).refresh(asked.clientId, refresh_token),
      ),
    )
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200))
    expect(new Set(answers.map(({ body }) => body.refresh_token)).size).toBe(1)
  })

  test('a code that is used on both ends the connection on both', async () => {
    const { asked, callback, access_token, refresh_token } = await connect()
    for (const origin of proxy.replicas) {
      const { status, body } = await createFlow(origin).exchange(asked, callback)
      expect([status, body.error]).toEqual([400, 'invalid_grant'])
    }
    await expectOver(asked.clientId, access_token, refresh_token)
  })

  test('what is ended on one is over on both: by RFC 7009, and on the account page', async () => {
    for (const kind of ['refresh_token', 'access_token'] as const) {
      const byClient = await connect()
      const { status } = await flow.revoke(byClient.asked.clientId, byClient[kind])
      expect([kind, status]).toEqual([kind, 200])
      await expectOver(byClient.asked.clientId, byClient.access_token, byClient.refresh_token)
    }
    const byPerson = await connect()
    await person.endConnection('Of both')
    await expectOver(byPerson.asked.clientId, byPerson.access_token, byPerson.refresh_token)
  })
})
