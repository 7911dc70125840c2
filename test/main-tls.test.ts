/** HTTPS without a proxy, and certificates that change under way. */

import { once } from 'node:events'
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from 'node:tls'
import { Agent, fetch as fetchWith } from 'undici'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { makeCertificate } from './support/certificate.ts'
import { freshDatabaseOptions } from './support/databases.ts'
import { type GatewayProcess, startGatewayProcess } from './support/gateway-process.ts'
import { PATIENCE } from './support/patience.ts'

/** Each start of a process takes seconds on a busy machine. */
const PROCESS_TIMEOUT_MS = 120_000

describe('with TLS_CERT_FILE and TLS_KEY_FILE', { timeout: PROCESS_TIMEOUT_MS }, () => {
  let folder: string
  let dataDir: string
  let gateway: GatewayProcess
  const log: string[] = []

  const file = (name: string) => join(folder, name)
  const countOf = (msg: string) => log.join('').split(`"msg":"${msg}"`).length - 1

  async function use(name: string): Promise<void> {
    await copyFile(file(`${name}.crt`), file('crt.pem'))
    await copyFile(file(`${name}.key`), file('key.pem'))
  }

  /** Sends SIGHUP and waits for what it says to it. */
  async function reload(msg: string): Promise<void> {
    const before = countOf(msg)
    gateway.process.kill('SIGHUP')
    await vi.waitFor(() => expect(countOf(msg)).toBe(before + 1), PATIENCE)
  }

  async function presentedName(): Promise<string | undefined> {
    const socket = connect({ port: Number(new URL(gateway.url).port), rejectUnauthorized: false })
    await once(socket, 'secureConnect')
    const { subject } = socket.getPeerCertificate()
    socket.destroy()
    return [subject.CN].flat()[0]
  }

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gateway-tls-'))
    dataDir = (await freshDatabaseOptions('embedded')).dataDir
    for (const name of ['first', 'second', 'third']) {
      await makeCertificate(file(`${name}.crt`), file(`${name}.key`), name)
    }
    await use('first')
    gateway = await startGatewayProcess({
      DATA_DIR: dataDir,
      HOST: '0.0.0.0',
      TLS_CERT_FILE: file('crt.pem'),
      TLS_KEY_FILE: file('key.pem'),
    })
    gateway.process.stdout?.on('data', (chunk) => log.push(String(chunk)))
  })
  afterAll(async () => {
    await gateway.stop()
    await rm(folder, { recursive: true })
    await rm(dataDir, { recursive: true })
  })

  test('serves HTTPS with that certificate, and warns of nothing', async () => {
    expect(gateway.url).toMatch(/^https:\/\/127\.0\.0\.1:\d+$/)
    expect(gateway.greeting).toContain(`${gateway.url}/mcp`)
    expect(gateway.greeting).not.toContain('WARNING')
    const dispatcher = new Agent({ connect: { ca: await readFile(file('first.crt')) } })
    const response = await fetchWith(`${gateway.url}/livez`, { dispatcher })
    expect(await response.json()).toEqual({ status: 'ok' })
    await dispatcher.close()
    expect(await presentedName()).toBe('first')
  })

  test('does not answer plain HTTP', async () => {
    await expect(fetch(gateway.url.replace('https', 'http'))).rejects.toThrow()
  })

  test('takes a new certificate on SIGHUP, not before', async () => {
    await use('second')
    expect(await presentedName()).toBe('first')
    await reload('certificate read again')
    expect(await presentedName()).toBe('second')
  })

  test.each([
    ['is nonsense', () => writeFile(file('crt.pem'), 'not a certificate')],
    ['is gone', () => rm(file('crt.pem'))],
    ['does not fit the key', () => copyFile(file('third.crt'), file('crt.pem'))],
  ])('keeps the old one when the new one %s', async (_name, spoil) => {
    await spoil()
    await reload('the certificate could not be read; the old one stays in use')
    expect(await presentedName()).toBe('second')
  })

  test('and takes the next good one', async () => {
    await use('third')
    await reload('certificate read again')
    expect(await presentedName()).toBe('third')
  })
})
