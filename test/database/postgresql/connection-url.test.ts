/** DATABASE_URL against a server with a certificate of its own authority, and one without TLS. */

import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openDatabase } from '../../../src/database/open.ts'
import { makeCertificate } from '../../support/certificate.ts'
import { freePort } from '../../support/free-port.ts'
import { isGiven } from '../../support/left-out.ts'
import {
  findServerPrograms,
  type RestartableCluster,
  startRestartableCluster,
} from '../../support/restartable-cluster.ts'
import { scratchFolder } from '../../support/scratch-folder.ts'

const programs = findServerPrograms()
const canRun = isGiven(programs !== undefined, {
  leavesOut: 'sslmode',
  because: 'no PostgreSQL server is installed',
})

describe.runIf(canRun)('sslmode', () => {
  let folder: string
  let withTls: RestartableCluster
  let withoutTls: RestartableCluster
  let ports: { tls: number; plain: number }

  beforeAll(async () => {
    folder = await mkdtemp(join(scratchFolder(), 'gateway-tls-'))
    for (const name of ['server', 'other']) {
      await makeCertificate(join(folder, `${name}.crt`), join(folder, `${name}.key`))
    }
    ports = { tls: await freePort(), plain: await freePort() }
    const certificate = await readFile(join(folder, 'server.crt'), 'utf8')
    const key = await readFile(join(folder, 'server.key'), 'utf8')
    withTls = await startRestartableCluster(programs as string, {
      port: ports.tls,
      certificate,
      key,
    })
    withoutTls = await startRestartableCluster(programs as string, { port: ports.plain })
  })
  afterAll(async () => {
    await withTls?.close()
    await withoutTls?.close()
    await rm(folder, { recursive: true })
  })

  /** Whether the connection is encrypted, and what is said about it. */
  async function connect(kind: 'tls' | 'plain', query: string, host = 'localhost') {
    const warnings: string[] = []
    const url = `postgresql://postgres@${host}:${ports[kind]}/postgres?${query}`
    const database = await openDatabase({ url, dataDir: '', warn: (text) => warnings.push(text) })
    const { rows } = await sql<{ ssl: boolean }>`
      select ssl from pg_stat_ssl where pid = pg_backend_pid()`.execute(database.db)
    await database.close()
    return { isEncrypted: rows[0]?.ssl, warnings }
  }
  const root = (name = 'server') => `sslrootcert=${join(folder, `${name}.crt`)}`
  const refusal = (kind: 'tls' | 'plain', query: string, host?: string) =>
    connect(kind, query, host).catch((error: unknown) => error)
  const told = (text: RegExp) => ({
    code: 'database_unavailable',
    retryable: false,
    message: expect.stringMatching(text),
  })

  test('require encrypts with a private certificate, as psql does, and says what it leaves out', async () => {
    const { isEncrypted, warnings } = await connect('tls', 'sslmode=require')
    expect(isEncrypted).toBe(true)
    expect(warnings).toEqual([expect.stringContaining('sslmode=verify-full')])
  })

  test('require with an authority verifies it', async () => {
    expect(await connect('tls', `sslmode=require&${root()}`)).toEqual({
      isEncrypted: true,
      warnings: [],
    })
    expect(await refusal('tls', `sslmode=require&${root('other')}`)).toMatchObject(
      told(/sslrootcert=/),
    )
  })

  test('verify-full and verify-ca take the authority that signed it, and no other', async () => {
    for (const mode of ['verify-full', 'verify-ca']) {
      expect((await connect('tls', `sslmode=${mode}&${root()}`)).isEncrypted).toBe(true)
      expect(await refusal('tls', `sslmode=${mode}&${root('other')}`)).toMatchObject(
        told(/cannot be verified .*sslrootcert=/),
      )
    }
    expect(await refusal('tls', 'sslmode=verify-full')).toMatchObject(told(/sslrootcert=/))
    expect(await refusal('tls', 'sslmode=verify-ca')).toMatchObject(told(/needs sslrootcert=/))
  })

  test('verify-full looks at the name, verify-ca does not', async () => {
    // The certificate is for 127.0.0.1, and for no other address of this machine.
    expect((await connect('tls', `sslmode=verify-full&${root()}`, '127.0.0.1')).isEncrypted).toBe(
      true,
    )
    expect((await connect('tls', `sslmode=verify-ca&${root()}`, '127.0.0.2')).isEncrypted).toBe(
      true,
    )
    expect(await refusal('tls', `sslmode=verify-full&${root()}`, '127.0.0.2')).toMatchObject(
      told(/ERR_TLS_CERT_ALTNAME_INVALID.*the name in the certificate/),
    )
  })

  test('prefer, allow, disable and nothing reach both kinds of server', async () => {
    for (const mode of ['prefer', 'allow']) {
      expect((await connect('tls', `sslmode=${mode}`)).isEncrypted).toBe(true)
      expect((await connect('plain', `sslmode=${mode}`)).isEncrypted).toBe(false)
    }
    for (const query of ['sslmode=disable', '']) {
      expect((await connect('tls', query)).isEncrypted).toBe(false)
      expect((await connect('plain', query)).isEncrypted).toBe(false)
    }
  })

  test('no-verify stays what it was', async () => {
    expect((await connect('tls', 'sslmode=no-verify')).isEncrypted).toBe(true)
  })

  test('what cannot be says what to write', async () => {
    expect(await refusal('plain', 'sslmode=require')).toMatchObject(told(/sslmode=disable/))
    expect(await refusal('tls', 'sslmode=verify')).toMatchObject(told(/verify-full/))
    expect(await refusal('tls', 'sslmode=verify-full&sslrootcert=/none.pem')).toMatchObject(
      told(/sslrootcert, \/none\.pem, cannot be read \(ENOENT\)/),
    )
    expect(await refusal('tls', 'sslmode=require&sslrootcert=system')).toMatchObject(
      told(/verify-full only/),
    )
  })

  test('on a socket of this machine nothing is encrypted, whatever is written', async () => {
    const url = `${withTls.url}&sslmode=require`
    const database = await openDatabase({ url, dataDir: '' })
    expect(await database.ping()).toBeGreaterThan(0)
    await database.close()
  })
})
