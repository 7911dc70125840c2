/** Clients that have a document, where none is taken, or none can be fetched: they register. */

import { afterEach, expect, test, vi } from 'vitest'
import { startConnectProxy, type Way } from '../support/connect-proxy.ts'
import { startDocumentHost } from '../support/document-host.ts'
import { startOAuthApp } from '../support/oauth-app.ts'
import { connectByOAuth, MemoryCredentials } from '../support/oauth-client.ts'
import { createFlow } from '../support/oauth-flow.ts'
import { newPerson } from '../support/oauth-person.ts'
import { eras, type TestApp } from '../support/start-app.ts'

const DOCUMENT = 'https://claude.ai/oauth/claude-code-client-metadata'
const closing: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

/** Behind a proxy, which is all of the outside that there is. */
async function start(mode: string, wayTo: (to: string) => Way) {
  const proxy = await startConnectProxy(wayTo)
  closing.push(proxy.close)
  const env = { CLIENT_ID_DOCUMENTS: mode, HTTPS_PROXY: proxy.url }
  const app: TestApp = await startOAuthApp({ kind: 'embedded', env })
  closing.push(() => app.close())
  const flow = createFlow(app.baseUrl)
  const isAnnounced = async () => {
    const { body } = await flow.get('/.well-known/oauth-authorization-server')
    return body.client_id_metadata_document_supported
  }
  const page = async (clientId = DOCUMENT) => {
    const answer = await fetch(flow.authorization(clientId).url, { redirect: 'manual' })
    expect([answer.status, answer.headers.get('location')]).toEqual([400, null])
    return answer.text()
  }
  return { app, proxy, isAnnounced, page }
}

const warnings = (app: TestApp) =>
  app.logLines
    .map((line) => JSON.parse(line))
    .filter(({ level }) => level === 40 || level === 'warn')

test.each(eras)('off: a client with a document registers and connects (%s era)', async (era) => {
  const { app, proxy, isAnnounced, page } = await start('off', () => ({ status: 403 }))
  expect(await isAnnounced()).toBeUndefined()
  const credentials = new MemoryCredentials({ documentUrl: DOCUMENT })
  const person = newPerson(app.baseUrl)
  const { client } = await connectByOAuth(era, app.mcpUrl, person, { credentials })
  closing.push(() => client.close())
  expect(credentials.client?.client_id).not.toBe(DOCUMENT)
  expect((await client.call('get_conversations')).isError).toBe(false)
  const text = await page()
  expect(text).toContain(DOCUMENT)
  expect(text).toMatch(/here apps register.*remove the server in your app and add it again/)
  expect(proxy.asked).toEqual([])
})

test('auto, without a way out: not announced, so that clients register', async () => {
  const { app, proxy, isAnnounced, page } = await start('auto', () => ({ status: 403 }))
  await expect.poll(() => warnings(app).length).toBe(1)
  expect(warnings(app)[0]).toMatchObject({
    msg: expect.stringMatching(/register instead.*HTTPS_PROXY.*CLIENT_ID_DOCUMENTS/),
    reason: expect.stringContaining('403'),
  })
  expect(new Set(proxy.asked.map(({ to }) => to))).toEqual(
    new Set(['claude.ai:443', 'chatgpt.com:443']),
  )
  expect(await isAnnounced()).toBeUndefined()
  const credentials = new MemoryCredentials({ documentUrl: DOCUMENT })
  const person = newPerson(app.baseUrl)
  const { client } = await connectByOAuth('modern', app.mcpUrl, person, { credentials })
  closing.push(() => client.close())
  expect(credentials.client?.client_id).not.toBe(DOCUMENT)
  // One that was told otherwise before is told what to do.
  const text = await page()
  expect(text).toContain(DOCUMENT)
  expect(text).toContain('the proxy on the way refused it (403)')
  expect(text).toMatch(/register here instead: remove the server in your app and add it again/)
  expect(warnings(app)[1]).toMatchObject({
    document: DOCUMENT,
    reason: expect.stringContaining('403'),
  })
})

test('on: announced whether they can be fetched or not; page and log name address and reason', async () => {
  const { app, isAnnounced, page } = await start('on', () => ({ status: 407 }))
  expect(await isAnnounced()).toBe(true)
  const text = await page(`${DOCUMENT}?<script>`)
  expect(text).toContain(`${DOCUMENT}?&lt;script&gt;`)
  expect(text).toMatch(/proxy on the way refused it \(407\).*HTTPS_PROXY.*CLIENT_ID_DOCUMENTS=off/)
  expect(warnings(app)).toMatchObject([{ document: `${DOCUMENT}?<script>` }])
})

test('auto, with a way out through a proxy: announced, fetched and connected', async () => {
  vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0')
  const host = await startDocumentHost((_req, res) => {
    const document = {
      client_id: DOCUMENT,
      client_name: 'Claude Code',
      redirect_uris: ['http://127.0.0.1/callback'],
      token_endpoint_auth_method: 'none',
    }
    res.setHeader('Content-Type', 'application/json').end(JSON.stringify(document))
  })
  closing.push(host.close)
  const { app, isAnnounced } = await start('auto', () => ({ port: host.port }))
  await expect.poll(isAnnounced).toBe(true)
  const credentials = new MemoryCredentials({ documentUrl: DOCUMENT })
  const person = newPerson(app.baseUrl)
  const { client } = await connectByOAuth('legacy', app.mcpUrl, person, { credentials })
  closing.push(() => client.close())
  expect(credentials.client?.client_id).toBe(DOCUMENT)
  expect((await client.call('get_conversations')).isError).toBe(false)
})
