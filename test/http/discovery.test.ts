/** What a client, a registry or a web page may read of the gateway before it connects. */

import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { aiCatalog, serverCard } from '../../src/mcp/discovery.ts'
import { serverInfo } from '../../src/mcp/protocol/server-info.ts'
import { VERSION } from '../../src/version.ts'
import { isAiCatalog, isServerCard, isServerJson } from '../support/schemas/discovery.ts'
import { eras, startApp, type TestApp } from '../support/start-app.ts'

const PUBLIC_URL = 'https://gateway.example:8443'

let app: TestApp
beforeAll(async () => {
  app = await startApp({ kind: 'embedded', env: { PUBLIC_URL } })
})
afterAll(() => app.close())

const get = (path: string, init: RequestInit = {}) => fetch(`${app.baseUrl}${path}`, init)

type Card = ReturnType<typeof serverCard>

const cardOf = async () => (await (await get('/mcp/server-card')).json()) as Card

test('the server card is one by its schema, and tells what the gateway then does', async () => {
  const card = await cardOf()
  expect(isServerCard(card), JSON.stringify(isServerCard.errors)).toBe(true)
  expect(card).toMatchObject({
    name: 'example.gateway/claude-api-gateway',
    version: VERSION,
    websiteUrl: `${PUBLIC_URL}/`,
    remotes: [{ url: `${PUBLIC_URL}/mcp` }],
  })
  for (const era of eras) {
    const info = (await app.connect(era)).raw.getServerVersion()
    expect(info, era).toEqual(serverInfo(PUBLIC_URL))
    expect(info).toMatchObject({
      name: card.name.split('/')[1],
      title: card.title,
      version: card.version,
      websiteUrl: card.websiteUrl,
      icons: card.icons,
    })
  }
})

test('every protocol version of the card is spoken', async () => {
  const [remote] = (await cardOf()).remotes
  const [modern, ...legacy] = remote?.supportedProtocolVersions ?? []
  expect(modern).toBe('2026-07-28')
  expect(legacy.length).toBeGreaterThan(2)
  for (const protocolVersion of legacy) {
    const clientInfo = { name: 'test', version: '1' }
    const params = { protocolVersion, capabilities: {}, clientInfo }
    const response = await get('/mcp/open', {
      method: 'POST',
      headers: {
        'Content-Type': 'application/json',
        Accept: 'application/json, text/event-stream',
      },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'initialize', params }),
    })
    const { result } = (await response.json()) as { result: { protocolVersion: string } }
    expect(result.protocolVersion).toBe(protocolVersion)
  }
})

test('the catalog leads to the card', async () => {
  const response = await get('/.well-known/ai-catalog.json')
  const catalog = (await response.json()) as ReturnType<typeof aiCatalog>
  expect(isAiCatalog(catalog), JSON.stringify(isAiCatalog.errors)).toBe(true)
  expect(catalog.entries).toEqual([
    {
      identifier: 'urn:air:gateway.example:mcp:claude-api-gateway',
      type: (await get('/mcp/server-card')).headers.get('content-type'),
      url: `${PUBLIC_URL}/mcp/server-card`,
    },
  ])
})

test.each([
  ['http://127.0.0.1:3000', '127.0.0.1', '127.0.0.1'],
  ['http://localhost:3000', 'localhost', 'localhost'],
  ['http://[::1]:3000', '--1', '--1'],
  ['https://mcp.team.example', 'example.team.mcp', 'mcp.team.example'],
])('%s has names that the schemas take', (publicUrl, namespace, publisher) => {
  const [card, catalog] = [serverCard(publicUrl), aiCatalog(publicUrl)]
  expect(isServerCard(card) && isAiCatalog(catalog)).toBe(true)
  expect(card.name).toBe(`${namespace}/claude-api-gateway`)
  expect(catalog.entries[0]?.identifier).toContain(`:${publisher}:`)
})

describe.each([
  ['/mcp/server-card', 'application/mcp-server-card+json'],
  ['/.well-known/ai-catalog.json', 'application/ai-catalog+json'],
  ['/icon.svg', 'image/svg+xml'],
  ['/icon-96.png', 'image/png'],
  ['/favicon.ico', 'image/png'],
])('%s', (path, type) => {
  test('is there for any web page, and kept for an hour', async () => {
    const foreign = { Origin: 'https://elsewhere.example' }
    const response = await get(path, { headers: foreign })
    expect(response.status).toBe(200)
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'content-type': type,
      'access-control-allow-origin': '*',
      'cache-control': 'public, max-age=3600',
      'cross-origin-resource-policy': 'cross-origin',
    })
    const preflight = await get(path, { method: 'OPTIONS', headers: foreign })
    expect(preflight.status).toBe(204)
    expect(preflight.headers.get('access-control-allow-methods')).toBe('GET')
  })

  test('is not sent again to who has it', async () => {
    const etag = (await get(path)).headers.get('etag') as string
    // Without the second header fetch would ask for a fresh copy.
    const headers = { 'If-None-Match': etag, 'Cache-Control': 'max-age=0' }
    expect((await get(path, { headers })).status).toBe(304)
  })
})

test('the icons are where the card says, of the kind and size it says', async () => {
  const icons = (await cardOf()).icons
  const kinds: string[] = []
  for (const { src, mimeType, sizes } of icons) {
    const response = await get(src.replace(PUBLIC_URL, ''))
    const bytes = Buffer.from(await response.arrayBuffer())
    kinds.push(mimeType)
    expect(response.headers.get('content-type')).toBe(mimeType)
    if (mimeType === 'image/svg+xml') {
      expect(sizes).toEqual(['any'])
      expect(bytes.toString()).toMatch(/^<svg [^>]*viewBox/)
      expect(bytes.toString(), 'nothing active').not.toMatch(/script|href|style|on\w+=/)
    } else {
      expect(bytes.subarray(1, 4).toString()).toBe('PNG')
      expect([`${bytes.readUInt32BE(16)}x${bytes.readUInt32BE(20)}`]).toEqual(sizes)
    }
  }
  expect(kinds).toEqual(['image/svg+xml', 'image/png'])
})

describe('docs/server.json', () => {
  const document = JSON.parse(
    readFileSync(new URL('../../docs/server.json', import.meta.url), 'utf8'),
  )

  test('is one by the registry’s schema', () => {
    expect(isServerJson(document), JSON.stringify(isServerJson.errors)).toBe(true)
    for (const wrong of [{ version: '^1.0.0' }, { description: 'x'.repeat(101) }, { name: 'x' }]) {
      expect(isServerJson({ ...document, ...wrong })).toBe(false)
    }
  })

  test('says the same as the gateway itself', async () => {
    const { title, description, version, remotes } = await cardOf()
    expect(document).toMatchObject({ title, description, version })
    const [template] = document.remotes
    expect(Object.keys(template.variables)).toEqual(['host'])
    expect(template.url.replace('{host}', 'gateway.example:8443')).toBe(remotes[0]?.url)
  })
})
