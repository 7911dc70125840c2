/** What may be sent to an address that somebody typed in, and what is read of the answer. */

import dns from 'node:dns'
import dnsPromises from 'node:dns/promises'
import type { RequestListener } from 'node:http'
import { syncBuiltinESMExports } from 'node:module'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { Outgoing } from '../../../src/network/outgoing.ts'
import { postToUntrusted } from '../../../src/network/untrusted/post.ts'
import { VERSION } from '../../../src/version.ts'
import { type ConnectProxy, startConnectProxy } from '../../support/connect-proxy.ts'
import { type DocumentHost, startDocumentHost } from '../../support/document-host.ts'
import { type NameServer, startNameServer } from '../../support/name-server.ts'

const POSTED = { headers: { 'webhook-id': 'msg_1' }, body: '{"type":"test"}' }

const post = (
  url: string,
  { privateHosts = [] as string[], outgoing = new Outgoing(), ms = 10_000 } = {},
) => postToUntrusted(url, POSTED, { privateHosts, outgoing, signal: AbortSignal.timeout(ms) })

describe('an address inside', () => {
  test.each([
    'https://127.0.0.1/',
    'https://127.1/',
    'https://2130706433/',
    'https://0x7f000001/',
    'https://017700000001/',
    'https://0/',
    'https://10.0.0.1/',
    'https://100.64.0.1/',
    'https://169.254.169.254/latest/meta-data',
    'https://172.16.0.1/',
    'https://192.168.1.1/',
    'https://[::]/',
    'https://[::1]/',
    'https://[::ffff:127.0.0.1]/',
    'https://[::ffff:a9fe:a9fe]/',
    'https://[::ffff:8.8.8.8]/',
    'https://[64:ff9b::10.0.0.1]/',
    'https://[64:ff9b:1::7f00:1]/',
    'https://[fc00::1]/',
    'https://[fe80::1]/',
    'https://localhost/',
    'https://LOCALHOST./',
  ])('%s is not sent to', async (url) => {
    await expect(post(url)).rejects.toThrow('not public')
  })

  test.each(['http://example.com/', 'ftp://example.com/', 'file:///etc/passwd', 'data:,{}'])(
    '%s is not even looked at',
    async (url) => {
      await expect(post(url)).rejects.toThrow('only https')
    },
  )

  describe('behind a name', () => {
    let names: NameServer
    let zone: Record<string, string[]>
    let asked: string[]
    beforeEach(async () => {
      asked = []
      names = await startNameServer((name) => {
        asked.push(name)
        return zone[name] ?? []
      })
    })
    afterEach(() => names.close())

    test.each([
      [['169.254.169.254']],
      [['127.0.0.1']],
      // One of several is enough: the system would try them in turn.
      [['1.1.1.1', '127.0.0.1']],
    ])('%s is not sent to', async (addresses) => {
      zone = { 'inside.example': addresses }
      await expect(post('https://inside.example/')).rejects.toThrow('not public')
      expect(asked).toContain('inside.example')
    })
  })
})

describe('a receiver', () => {
  let host: DocumentHost
  let got: { method?: string; headers: Record<string, unknown>; body: string }[]
  const answers: Record<string, RequestListener> = {
    '/good': (_req, res) => res.writeHead(204).end(),
    '/redirect': (_req, res) => res.writeHead(307, { location: '/good' }).end(),
    '/large': (_req, res) => res.end('x'.repeat(1024 * 1024)),
    '/endless': (_req, res) => {
      const more = () => res.write('x'.repeat(64 * 1024), () => setImmediate(more))
      more()
    },
    '/silent': () => {},
    '/slow': (_req, res) => void res.writeHead(200).write('x'),
    '/broken': (_req, res) =>
      res.writeHead(200, { 'content-length': 5 }).write('x', () => res.destroy()),
  }
  beforeAll(async () => {
    host = await startDocumentHost((req, res) => {
      let body = ''
      req.on('data', (chunk: Buffer) => {
        body += chunk
      })
      req.on('end', () => {
        got.push({ method: req.method ?? '', headers: req.headers, body })
        answers[req.url ?? '']?.(req, res)
      })
    })
  })
  beforeEach(() => {
    got = []
    vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0')
  })
  afterEach(() => {
    vi.unstubAllEnvs()
    vi.restoreAllMocks()
    syncBuiltinESMExports()
  })
  afterAll(() => host.close())

  const send = (path: string, ms?: number) =>
    post(`${host.url}${path}`, { privateHosts: ['localhost'], ...(ms !== undefined && { ms }) })

  test('that the operator allows gets the body and the headers', async () => {
    expect(await send('/good')).toBe(204)
    expect(got).toEqual([
      {
        method: 'POST',
        body: POSTED.body,
        headers: expect.objectContaining({
          ...POSTED.headers,
          'content-type': 'application/json',
          'user-agent': `claude-api-gateway/${VERSION}`,
        }),
      },
    ])
  })

  test('whose name leads elsewhere the second time is sent to where it led first', async () => {
    const answers = ['127.0.0.1', '127.0.0.2']
    const next = () => [{ address: answers.shift() ?? '127.0.0.2', family: 4 }]
    const looked = vi.spyOn(dnsPromises, 'lookup').mockImplementation((async () => next()) as never)
    // What a connection asks that resolves the name for itself.
    const byItself = vi.spyOn(dns, 'lookup')
    syncBuiltinESMExports()
    const url = `https://documents.example:${host.port}/good`
    expect(await post(url, { privateHosts: ['documents.example'] })).toBe(204)
    expect([looked.mock.calls.length, byItself.mock.calls.length]).toEqual([1, 0])
  })

  test('that nobody vouches for gets nothing', async () => {
    vi.unstubAllEnvs()
    await expect(send('/good')).rejects.toThrow(/self-signed certificate/)
    expect(got).toEqual([])
  })

  test('sends nobody anywhere else', async () => {
    expect(await send('/redirect')).toBe(307)
    expect(got).toHaveLength(1)
  })

  test.each(['/large', '/endless'])('of %s no more than 64 KiB is read', async (path) => {
    expect(await send(path)).toBe(200)
  })

  test.each(['/silent', '/slow'])('that does not end in time is given up (%s)', async (path) => {
    await expect(send(path, 200)).rejects.toThrow(/aborted/)
  })

  test('that breaks off has not answered', async () => {
    await expect(send('/broken')).rejects.toThrow(/aborted|hang up/)
  })

  test('behind a proxy is sent to by it, and never inside', async () => {
    const proxy: ConnectProxy = await startConnectProxy(() => ({ port: host.port }))
    const names = await startNameServer((name) => (name === 'inside.example' ? ['10.0.0.1'] : []))
    const outgoing = new Outgoing({ httpsProxy: new URL(proxy.url) })
    try {
      expect(await post('https://outside.example/good', { outgoing })).toBe(204)
      expect(got[0]).toMatchObject({ method: 'POST', body: POSTED.body })
      expect(await post('https://outside.example/large', { outgoing })).toBe(200)
      for (const url of ['https://127.0.0.1/', 'https://[::1]/', 'https://inside.example/']) {
        await expect(post(url, { outgoing })).rejects.toThrow('not public')
      }
      expect(proxy.asked.map(({ to }) => to)).not.toContain('inside.example:443')
    } finally {
      await outgoing.close()
      await names.close()
      await proxy.close()
    }
  })
})
