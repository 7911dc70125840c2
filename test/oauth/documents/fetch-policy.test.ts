/** What a client's metadata document may be fetched from, and how much of it. */

import dns from 'node:dns'
import dnsPromises from 'node:dns/promises'
import type { RequestListener } from 'node:http'
import { syncBuiltinESMExports } from 'node:module'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { Outgoing } from '../../../src/network/outgoing.ts'
import { reasonOf } from '../../../src/network/untrusted/fetch-reasons.ts'
import { isPublicAddress } from '../../../src/network/untrusted/public-addresses.ts'
import { fetchUnderPolicy } from '../../../src/oauth/documents/fetch-policy.ts'
import { VERSION } from '../../../src/version.ts'
import { deadUrl } from '../../claude/asking.ts'
import { type ConnectProxy, startConnectProxy, type Way } from '../../support/connect-proxy.ts'
import { type DocumentHost, startDocumentHost } from '../../support/document-host.ts'
import { type NameServer, startNameServer } from '../../support/name-server.ts'
import { PATIENCE } from '../../support/patience.ts'

const KIBIBYTE = 1024

test.each([
  ['this network', '0.0.0.0'],
  ['this network, its end', '0.255.255.255'],
  ['private, class A', '10.1.2.3'],
  ['carrier-grade NAT', '100.64.0.1'],
  ['loopback', '127.0.0.1'],
  ['loopback, not the first', '127.255.255.254'],
  ['link-local: metadata of a cloud', '169.254.169.254'],
  ['private, class B, its begin', '172.16.0.1'],
  ['private, class B, its end', '172.31.255.255'],
  ['protocol assignments', '192.0.0.8'],
  ['documentation 1', '192.0.2.1'],
  ['6to4 relays', '192.88.99.1'],
  ['private, class C', '192.168.1.1'],
  ['benchmarking', '198.19.255.255'],
  ['documentation 2', '198.51.100.7'],
  ['documentation 3', '203.0.113.7'],
  ['multicast', '224.0.0.1'],
  ['reserved', '240.0.0.1'],
  ['broadcast', '255.255.255.255'],
  ['unspecified', '::'],
  ['loopback of IPv6', '::1'],
  ['IPv4-compatible', '::127.0.0.1'],
  ['IPv4-mapped loopback', '::ffff:127.0.0.1'],
  ['IPv4-mapped loopback in hex', '::ffff:7f00:1'],
  ['IPv4-mapped, even of a public address', '::ffff:8.8.8.8'],
  ['NAT64', '64:ff9b::7f00:1'],
  ['NAT64, local use', '64:ff9b:1::1'],
  ['discard', '100::1'],
  ['Teredo', '2001:0:4136:e378:8000:63bf:3fff:fdd2'],
  ['ORCHIDv2', '2001:20::1'],
  ['documentation of IPv6', '2001:db8::1'],
  ['6to4 of a private address', '2002:0a00:0001::1'],
  ['documentation of IPv6, the newer', '3fff::1'],
  ['segment routing', '5f00::1'],
  ['unique local', 'fc00::1'],
  ['unique local, locally assigned', 'fd12:3456:789a::1'],
  ['link-local of IPv6', 'fe80::1'],
  ['link-local with a zone', 'fe80::1%1'],
  ['site-local', 'fec0::1'],
  ['multicast of IPv6', 'ff02::1'],
])('%s is not public: %s', (_what, address) => {
  expect(isPublicAddress(address)).toBe(false)
})

test.each([
  '1.1.1.1',
  '9.255.255.255',
  '11.0.0.0',
  '100.63.255.255',
  '100.128.0.0',
  '160.79.104.10',
  '172.15.255.255',
  '172.32.0.0',
  '192.167.255.255',
  '198.17.255.255',
  '198.20.0.0',
  '223.255.255.255',
  '2001:4860:4860::8888',
  '2606:4700:4700::1111',
  '2a00:1450:4001:81b::200e',
])('%s is public', (address) => {
  expect(isPublicAddress(address)).toBe(true)
})

describe('an address as a host', () => {
  test.each([
    'https://127.0.0.1/client',
    'https://127.1/client',
    'https://2130706433/client',
    'https://0x7f.0.0.1/client',
    'https://0x7f000001/client',
    'https://017700000001/client',
    'https://127.0.0.1./client',
    'https://１２７.０.０.１/client',
    'https://169.254.169.254/latest/meta-data',
    'https://0/client',
    'https://[::1]/client',
    'https://[::ffff:127.0.0.1]/client',
    'https://[::ffff:a9fe:a9fe]/client',
    'https://[64:ff9b::10.0.0.1]/client',
    'https://localhost/client',
    'https://LOCALHOST/client',
  ])('%s is refused', async (url) => {
    await expect(fetchUnderPolicy(url, {}, [])).rejects.toThrow('not public')
  })

  test('a name that may lie at a private address speaks for no other', async () => {
    const allowed = ['documents.example']
    await expect(fetchUnderPolicy('https://localhost/', {}, allowed)).rejects.toThrow('not public')
    await expect(fetchUnderPolicy('https://127.0.0.1/', {}, allowed)).rejects.toThrow('not public')
  })

  test.each(['http://example.com/', 'ftp://example.com/', 'file:///etc/passwd', 'data:,{}'])(
    '%s is not even looked at',
    async (url) => {
      await expect(fetchUnderPolicy(url, {}, [])).rejects.toThrow('only https')
    },
  )
})

describe('a document', () => {
  let host: DocumentHost
  const answers: Record<string, RequestListener> = {
    '/good': (req, res) => {
      const { accept, host, 'user-agent': agent } = req.headers
      const answered = { accept, host, agent }
      res.setHeader('Cache-Control', 'max-age=60').setHeader('Set-Cookie', 'a=b')
      res.setHeader('Content-Type', 'application/json').end(JSON.stringify(answered))
    },
    '/redirect': (_req, res) => res.writeHead(302, { location: '/good' }).end(),
    '/largest': (_req, res) => res.end('x'.repeat(16 * KIBIBYTE)),
    '/too-large': (_req, res) => res.end('x'.repeat(16 * KIBIBYTE + 1)),
    '/too-large-error': (_req, res) => res.writeHead(500).end('x'.repeat(64 * KIBIBYTE)),
    '/endless': (_req, res) => res.write('x'),
    '/silent': () => {},
    '/broken': (_req, res) =>
      res.writeHead(200, { 'content-length': 5 }).write('x', () => res.destroy()),
  }
  beforeAll(async () => {
    host = await startDocumentHost((req, res) => answers[req.url ?? '']?.(req, res))
  })
  afterAll(() => host.close())
  afterEach(() => {
    vi.restoreAllMocks()
    syncBuiltinESMExports()
  })

  /** Who trusts the certificate is for another test; here it would only stand in the way. */
  const trust = () => vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0')
  const get = (path: string, signal = AbortSignal.timeout(10_000)) => {
    const headers = { accept: 'application/json' }
    return fetchUnderPolicy(`${host.url}${path}`, { signal, headers }, ['localhost'])
  }

  test('comes with what was asked for, and only its type and age', async () => {
    trust()
    const answer = await get('/good')
    expect(answer.status).toBe(200)
    expect(await answer.json()).toEqual({
      accept: 'application/json',
      host: new URL(host.url).host,
      agent: `claude-api-gateway/${VERSION}`,
    })
    expect(Object.fromEntries(answer.headers)).toEqual({
      'cache-control': 'max-age=60',
      'content-type': 'application/json',
    })
  })

  test('from a host with a certificate that nobody trusts is not fetched', async () => {
    const before = host.requests.length
    await expect(get('/good')).rejects.toThrow(/self-signed certificate/)
    expect(host.requests.length).toBe(before)
  })

  test('is not looked for where a redirect points', async () => {
    trust()
    const before = host.requests.length
    const answer = await get('/redirect')
    expect([answer.status, await answer.text(), answer.headers.get('location')]).toEqual([
      302,
      '',
      null,
    ])
    expect(host.requests.slice(before)).toEqual(['/redirect'])
  })

  test('has at most 16 KiB, whatever its status', async () => {
    trust()
    expect(await (await get('/largest')).text()).toHaveLength(16 * KIBIBYTE)
    await expect(get('/too-large')).rejects.toThrow('too large')
    await expect(get('/too-large-error')).rejects.toThrow('too large')
  })

  test.each(['/silent', '/endless'])('that does not end in time is given up (%s)', async (path) => {
    trust()
    await expect(get(path, AbortSignal.timeout(100))).rejects.toThrow(/aborted/)
  })

  test('that breaks off is none', async () => {
    trust()
    await expect(get('/broken')).rejects.toThrow(/aborted|hang up/)
  })

  describe('behind a proxy', () => {
    let proxy: ConnectProxy
    let way: (to: string) => Way
    let names: NameServer
    let zone: Record<string, string[]>
    let outgoing: Outgoing
    beforeAll(async () => {
      proxy = await startConnectProxy((to) => way(to))
    })
    beforeEach(async () => {
      way = () => ({ port: host.port })
      zone = {}
      names = await startNameServer((name) => zone[name] ?? [])
      proxy.asked.length = 0
      outgoing = new Outgoing({ httpsProxy: new URL(proxy.url) })
    })
    afterEach(async () => {
      await names.close()
      await outgoing.close()
    })
    afterAll(() => proxy.close())
    const fetchBy = (url: string, privateHosts: string[] = [], through = outgoing) =>
      fetchUnderPolicy(url, { signal: AbortSignal.timeout(10_000) }, privateHosts, through)
    const asked = () => proxy.asked.map(({ to }) => to)

    test('is fetched by it under a name that only it knows, and says who asks', async () => {
      trust()
      const answer = await fetchBy('https://outside.example/good')
      expect(await answer.json()).toMatchObject({
        host: 'outside.example',
        agent: `claude-api-gateway/${VERSION}`,
      })
      expect(asked()).toEqual(['outside.example:443'])
      expect((await fetchBy('https://outside.example/redirect')).status).toBe(302)
      await expect(fetchBy('https://outside.example/too-large')).rejects.toThrow('too large')
    })

    test('is checked by its own certificate', async () => {
      await expect(fetchBy('https://documents.example/good')).rejects.toThrow(/self-signed/)
    })

    test.each([
      'https://127.0.0.1/good',
      'https://2130706433/good',
      'https://10.1.2.3/good',
      'https://[::1]/good',
      'https://localhost/good',
      'https://inside.example/good',
      'https://partly.example/good',
    ])('%s is not asked of it', async (url) => {
      zone = { 'inside.example': ['10.0.0.1'], 'partly.example': ['1.1.1.1', '127.0.0.1'] }
      await expect(fetchBy(url)).rejects.toThrow('not public')
      expect(asked()).toEqual([])
    })

    test('inside is asked of it when its name is listed', async () => {
      trust()
      zone = { 'inside.example': ['10.0.0.1'] }
      expect((await fetchBy('https://inside.example/good', ['inside.example'])).status).toBe(200)
    })

    test('is fetched without it where NO_PROXY says so', async () => {
      trust()
      const direct = new Outgoing({ httpsProxy: new URL(proxy.url), noProxy: ['localhost'] })
      expect((await fetchBy(`${host.url}/good`, ['localhost'], direct)).status).toBe(200)
      expect(asked()).toEqual([])
    })

    test('is not waited for longer than there is time, while it waits for the host', async () => {
      way = () => 'never said'
      const time = new AbortController()
      const options = { signal: time.signal }
      const fetching = fetchUnderPolicy('https://slow.example/good', options, [], outgoing)
      const failed = expect(fetching).rejects.toThrow('the time is over')
      await expect.poll(asked, PATIENCE).toEqual(['slow.example:443'])
      time.abort(new Error('the time is over'))
      await failed
    })

    test('is not fetched when it refuses or is away, and that is why', async () => {
      const why = (answer: Promise<unknown>) =>
        answer.then(
          () => 'fetched',
          (error: unknown) => reasonOf(error, false).shown,
        )
      way = () => ({ status: 403 })
      expect(await why(fetchBy('https://a.example/good'))).toMatch(/proxy.*refused it \(403\)/)
      way = () => ({ status: 407 })
      expect(await why(fetchBy('https://a.example/good'))).toMatch(/proxy.*refused it \(407\)/)
      const away = new Outgoing({ httpsProxy: new URL(await deadUrl()) })
      expect(await why(fetchBy('https://a.example/good', [], away))).toMatch(
        /proxy on the way could not be reached/,
      )
      await away.close()
    })
  })

  describe('whose name server is hostile', () => {
    /** Answers in turn; the last one again and again. */
    function resolveTo(...answers: string[][]) {
      let asked = 0
      const next = () => {
        const addresses = answers[Math.min(asked, answers.length - 1)] ?? []
        asked += 1
        return addresses.map((address) => ({ address, family: 4 }))
      }
      vi.spyOn(dnsPromises, 'lookup').mockImplementation((async () => next()) as never)
      // What a connection asks that resolves the name for itself.
      vi.spyOn(dns, 'lookup').mockImplementation(((
        _name: string,
        options: unknown,
        found: unknown,
      ) => {
        const { all } = options as { all?: boolean }
        const addresses = next()
        const done = found as (...answer: unknown[]) => void
        if (all) done(null, addresses)
        else done(null, addresses[0]?.address, 4)
      }) as never)
      syncBuiltinESMExports()
      return { countAsked: () => asked }
    }

    test('is fetched from where the name was first, not from where it is next', async () => {
      trust()
      const names = resolveTo(['127.0.0.1'], ['127.0.0.2'])
      const url = `https://documents.example:${host.port}/good`
      const answer = await fetchUnderPolicy(url, {}, ['documents.example'])
      expect(await answer.json()).toMatchObject({ host: `documents.example:${host.port}` })
      expect(names.countAsked()).toBe(1)
    })

    describe('and asked by us', () => {
      let server: NameServer | undefined
      afterEach(async () => {
        await server?.close()
        server = undefined
      })
      const fetchFrom = (name: string, signal = AbortSignal.timeout(10_000)) =>
        fetchUnderPolicy(`https://${name}:${host.port}/good`, { signal }, [])
      const outcomeOf = (answer: Promise<Response>) =>
        answer.then(
          () => 'fetched',
          (error: Error) => error.message,
        )

      test('is not fetched when one of several addresses is private', async () => {
        server = await startNameServer(() => ['1.1.1.1', '127.0.0.1'])
        await expect(fetchFrom('documents.example')).rejects.toThrow('not public')
        expect(server.asked).toEqual(['documents.example'])
      })

      test('is not fetched when the name has no address', async () => {
        server = await startNameServer(() => [])
        await expect(fetchFrom('documents.example')).rejects.toThrow(/ENODATA|no address/)
      })

      test('is asked once by all who want to know the same', async () => {
        server = await startNameServer(() => ['127.0.0.1'])
        const all = Array.from({ length: 20 }, () => outcomeOf(fetchFrom('same.example')))
        expect(new Set(await Promise.all(all))).toEqual(
          new Set(['the host has an address that is not public']),
        )
        expect(server.asked).toEqual(['same.example'])
      })

      test('holds up its own names and nobody else’s, and no thread', async () => {
        const threads = vi.spyOn(dnsPromises, 'lookup')
        syncBuiltinESMExports()
        server = await startNameServer((name) =>
          name.endsWith('slow.example') ? null : ['127.0.0.1'],
        )
        let over = 0
        const slow = Array.from({ length: 60 }, (_, i) =>
          outcomeOf(fetchFrom(`${i}.slow.example`)).finally(() => {
            over += 1
          }),
        )
        await expect.poll(() => server?.asked.length).toBeGreaterThan(0)
        const others = Array.from({ length: 10 }, (_, i) =>
          outcomeOf(fetchFrom(`a.quick${i}.example`)),
        )
        const answers = await Promise.all(others)
        expect(over).toBeLessThan(slow.length)
        expect(new Set(answers)).toEqual(new Set(['the host has an address that is not public']))
        // Each is given up in time, also those whose turn never came.
        for (const answer of await Promise.all(slow))
          expect(answer).toMatch(/timeout|cancelled|ETIMEOUT/i)
        expect(threads).not.toHaveBeenCalled()
      })
    })
  })
})
