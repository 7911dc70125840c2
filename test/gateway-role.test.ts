/** The role that docker-compose.yml has the gateway connect as, on a PostgreSQL server of its own. */

import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { runSql, withDatabase } from './support/database-supplies.ts'
import { isGiven } from './support/left-out.ts'
import { type Cluster, findPostgresql, startCluster } from './support/postgresql-cluster.ts'
import { startApp } from './support/start-app.ts'

const source = findPostgresql(process.env)
const ownsServer = isGiven(source !== undefined && !('url' in source), {
  leavesOut: "the gateway's role",
  because: 'it takes a server of the run’s own, and TEST_DATABASE_URL is set or none is installed',
})
const PASSWORD = `it's "odd" \\ $x; drop role gateway; -- ü`

describe.runIf(ownsServer)("the gateway's role", () => {
  const folder = mkdtempSync(join(tmpdir(), 'gateway-role-'))
  let cluster: Cluster
  let gatewayUrl: string
  beforeAll(async () => {
    if (!source || 'url' in source) return
    cluster = await startCluster(source)
    const file = join(folder, 'database-password')
    writeFileSync(file, `${PASSWORD}\n`)
    const script = fileURLToPath(new URL('../db/create-gateway-role.sql', import.meta.url))
    // As the image's entrypoint does.
    const args = ['-v', 'ON_ERROR_STOP=1', '--no-psqlrc', '-d', cluster.url, '-f', script]
    const env = { ...process.env, DATABASE_PASSWORD_FILE: file }
    await promisify(execFile)(join(source.binaries, 'psql'), args, { env })
    const url = new URL(withDatabase(cluster.url, 'gateway'))
    const user = url.searchParams.has('user') ? 'search' : 'name'
    if (user === 'search') url.searchParams.set('user', 'gateway')
    else url.username = 'gateway'
    gatewayUrl = url.href
  })
  afterAll(async () => {
    await cluster?.stop()
    rmSync(folder, { recursive: true })
  })

  test('is no superuser, makes no roles and no databases, and has the password of the file', async () => {
    const [role] = await runSql(
      cluster.url,
      `select rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls,
         rolpassword like 'SCRAM-SHA-256$%' as has_password
       from pg_authid where rolname = 'gateway'`,
    )
    expect(role).toEqual({
      rolsuper: false,
      rolcreaterole: false,
      rolcreatedb: false,
      rolreplication: false,
      rolbypassrls: false,
      has_password: true,
    })
    const roles = await runSql(cluster.url, "select 1 from pg_roles where rolname !~ '^pg_'")
    expect(roles).toHaveLength(2)
  })

  test('is all that the gateway needs, and no way to what else the server has', async () => {
    const app = await startApp({
      kind: 'postgresql',
      database: { url: gatewayUrl, dataDir: folder },
    })
    const user = await app.register()
    const client = await app.connect('modern', user.accessToken)
    const sent = await client.call('send_message', { message: 'Hello' })
    expect(sent.structured.data.status).toBe('complete')
    await app.close()
    const [me] = await runSql(gatewayUrl, 'select current_user as name')
    expect(me?.name).toBe('gateway')
    await expect(runSql(gatewayUrl, 'select rolpassword from pg_authid')).rejects.toThrow('denied')
    await expect(runSql(gatewayUrl, "copy (select 1) to program 'true'")).rejects.toThrow()
    await expect(runSql(gatewayUrl, "select pg_read_file('/etc/passwd')")).rejects.toThrow('denied')
    await expect(runSql(gatewayUrl, 'create role other superuser')).rejects.toThrow()
    await expect(runSql(gatewayUrl, 'alter role gateway superuser')).rejects.toThrow()
  })
})
