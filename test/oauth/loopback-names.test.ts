/** On one computer `localhost`, `127.0.0.1` and `[::1]` are one gateway, whichever of them was printed. */

import { networkInterfaces } from 'node:os'
import { decodeJwt } from 'jose'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { bearer, message, post, postByHand, toolCall } from '../http/posting.ts'
import { freePort } from '../support/free-port.ts'
import { isGiven } from '../support/left-out.ts'
import { connectByOAuth } from '../support/oauth-client.ts'
import { createFlow } from '../support/oauth-flow.ts'
import { newPerson } from '../support/oauth-person.ts'
import { eras, startApp, type TestApp } from '../support/start-app.ts'

const NAMES = ['localhost', '127.0.0.1', '[::1]']

describe.each(['127.0.0.1', 'localhost', '[::1]', undefined])('printed as %s', (printed) => {
  let app: TestApp
  let originOf: (name: string) => string
  beforeAll(async () => {
    const port = await freePort()
    const known = printed === undefined ? {} : { PUBLIC_URL: `http://${printed}:${port}` }
    app = await startApp({ kind: 'embedded', env: { PORT: String(port), ...known } })
    originOf = (name) => `http://${name}:${port}`
  })
  afterAll(() => app.close())

  /** At the one address that every computer has, under any name. */
  const getAs = (host: string, path: string, headers: Record<string, string> = {}) =>
    postByHand(`${app.baseUrl}${path}`, undefined, { host, ...headers }, 'GET')

  describe.each(['localhost', '127.0.0.1'])('an official client at %s', (name) => {
    test.each(eras)('connects, and stays connected (%s era)', async (era) => {
      const origin = originOf(name)
      const person = newPerson(origin)
      const { client, credentials } = await connectByOAuth(era, `${origin}/mcp`, person)
      expect((await client.call('send_message', { message: 'Hi' })).isError).toBe(false)
      const asked = credentials.authorizationUrl
      expect([asked?.origin, asked?.searchParams.get('resource')]).toEqual([
        origin,
        `${origin}/mcp`,
      ])
      const { access_token = '' } = credentials.current ?? {}
      expect(decodeJwt(access_token)).toMatchObject({ iss: origin, aud: `${origin}/mcp` })
      if (credentials.current) credentials.current.access_token = 'gone'
      expect((await client.call('get_conversations')).isError).toBe(false)
      expect([credentials.timesAsked, credentials.timesIssued]).toEqual([1, 2])
      await client.close()
    })
  })

  test('a token that was got under one name is good under all, at both addresses', async () => {
    for (const name of ['localhost', '127.0.0.1']) {
      const flow = createFlow(originOf(name))
      const asked = flow.authorization(await flow.newClient())
      const callback = await newPerson(originOf(name)).answer(asked.url)
      expect(callback.searchParams.get('iss')).toBe(originOf(name))
      const { body } = await flow.exchange(asked, callback)
      for (const other of NAMES) {
        for (const url of [app.mcpUrl, app.url]) {
          const headers = { ...bearer(body.access_token), host: new URL(originOf(other)).host }
          const answer = await postByHand(url, toolCall('get_conversations'), headers)
          expect([other, url, answer.status]).toEqual([other, url, 200])
        }
      }
    }
  })

  test('authenticate_user’s is, too', async () => {
    const { accessToken } = await app.register()
    for (const name of ['localhost', '127.0.0.1']) {
      const answer = await post(`${originOf(name)}/mcp`, message('tools/list'), bearer(accessToken))
      expect(answer.status).toBe(200)
    }
  })

  test.each(NAMES)(
    'what the gateway says of itself at %s is said under that name',
    async (name) => {
      const origin = originOf(name)
      const { host } = new URL(origin)
      for (const path of [
        '/.well-known/oauth-protected-resource',
        '/.well-known/oauth-protected-resource/mcp',
        '/.well-known/oauth-protected-resource/mcp/open',
      ]) {
        const { json } = await getAs(host, path)
        expect(json).toMatchObject({
          resource: `${origin}${path.endsWith('/open') ? '/mcp/open' : '/mcp'}`,
          authorization_servers: [origin],
        })
      }
      const { json: server } = await getAs(host, '/.well-known/oauth-authorization-server')
      expect(server.issuer).toBe(origin)
      const endpoints = Object.entries(server).filter(([key]) => /_(?:endpoint|uri)$/.test(key))
      expect(endpoints.length).toBeGreaterThan(4)
      for (const [, url] of endpoints) expect(new URL(String(url)).origin).toBe(origin)
      const refused = await postByHand(app.mcpUrl, message('ping'), { host })
      expect(refused.headers.get('www-authenticate')).toContain(
        `resource_metadata="${origin}/.well-known/oauth-protected-resource/mcp"`,
      )
      expect(refused.json.error.message).toContain(`${origin}/mcp/open`)
      const html = { accept: 'text/html' }
      for (const [path, headers] of [
        ['/mcp/server-card', {}],
        ['/mcp', html],
        ['/', html],
      ] as const) {
        expect((await getAs(host, path, headers)).text).toContain(`${origin}/mcp`)
      }
    },
  )

  test('nobody gets in by another name', async () => {
    const port = new URL(app.baseUrl).port
    for (const host of [`evil.example:${port}`, `localhost.evil.example:${port}`]) {
      for (const url of [app.mcpUrl, app.url]) {
        expect((await postByHand(url, message('ping'), { host })).status).toBe(403)
      }
      const { json } = await getAs(host, '/.well-known/oauth-authorization-server')
      expect(json.issuer).toBe(app.config.http.publicUrl)
    }
    const flow = createFlow(originOf('localhost'))
    const { url } = flow.authorization(await flow.newClient(), {
      resource: `http://evil.example:${port}/mcp`,
    })
    const answer = await fetch(url, { redirect: 'manual' })
    expect(answer.headers.get('location') ?? (await answer.text())).toContain('invalid_target')
  })
})

const addresses = Object.values(networkInterfaces()).flat()
const hasIpv6 = isGiven(
  addresses.some((own) => own?.address === '::1'),
  { leavesOut: 'clients at [::1]', because: 'this machine has no IPv6' },
)

test.runIf(hasIpv6).each(eras)('an official client at [::1] connects (%s era)', async (era) => {
  const port = await freePort()
  const env = { HOST: '::1', PORT: String(port), PUBLIC_URL: `http://localhost:${port}` }
  const app = await startApp({ kind: 'embedded', env })
  const origin = `http://[::1]:${port}`
  const { client } = await connectByOAuth(era, `${origin}/mcp`, newPerson(origin))
  expect((await client.call('get_conversations')).isError).toBe(false)
  await client.close()
  await app.close()
})

test('with a name for others the gateway has no second one', async () => {
  const PUBLIC_URL = 'https://gateway.example'
  const app = await startApp({ kind: 'embedded', env: { PUBLIC_URL } })
  for (const host of ['localhost', 'localhost:443', new URL(app.baseUrl).host]) {
    const resource = `${app.baseUrl}/.well-known/oauth-protected-resource/mcp`
    const { json } = await postByHand(resource, undefined, { host }, 'GET')
    expect(json).toMatchObject({
      resource: `${PUBLIC_URL}/mcp`,
      authorization_servers: [PUBLIC_URL],
    })
  }
  await app.close()
})
