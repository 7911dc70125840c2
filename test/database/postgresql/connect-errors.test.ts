/** A DATABASE_URL that leads nowhere: what is said of it, and whether it is worth another try. */

import { createServer } from 'node:net'
import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { migrateToLatest } from '../../../src/database/migrations/migrate.ts'
import { openDatabase } from '../../../src/database/open.ts'
import { explainConnectError } from '../../../src/database/postgresql/connect-errors.ts'
import { runSql } from '../../support/database-supplies.ts'
import { freePort } from '../../support/free-port.ts'
import { isGiven } from '../../support/left-out.ts'
import { startPausableProxy } from '../../support/pausable-proxy.ts'
import {
  findServerPrograms,
  type RestartableCluster,
  startRestartableCluster,
} from '../../support/restartable-cluster.ts'

const programs = findServerPrograms()
const canRun = isGiven(programs !== undefined, {
  leavesOut: 'errors of connecting',
  because: 'no PostgreSQL server is installed',
})
const SECRET = 'hunter-7/#?@:%2'

describe.runIf(canRun)('DATABASE_URL', () => {
  let cluster: RestartableCluster
  let port: number

  beforeAll(async () => {
    port = await freePort()
    cluster = await startRestartableCluster(programs as string, { port })
    // Who comes by the network needs a password.
    const [row] = await runSql(cluster.url, 'show hba_file')
    await runSql(
      cluster.url,
      `copy (values ('local all all trust'), ('host all locked all reject'), ('host all all all scram-sha-256'))
       to '${row?.hba_file}'`,
    )
    for (const text of [
      'select pg_reload_conf()',
      `create role ada login password '${SECRET}'`,
      `create role single login password '${SECRET}' connection limit 0`,
      'create database gateway owner ada',
      `create database latin owner ada encoding 'LATIN1' template template0`,
      'create database closed',
      'revoke connect on database closed from public',
    ]) {
      await runSql(cluster.url, text)
    }
    await runSql(urlOf({ user: 'postgres', viaSocket: true, database: 'closed' }), 'select 1')
  })
  afterAll(() => cluster?.close())

  type Place = {
    user?: string
    password?: string
    database?: string
    query?: string
    viaSocket?: boolean
    at?: number
  }
  function urlOf({ user = 'ada', password, database = 'gateway', query, viaSocket, at }: Place) {
    const url = new URL(cluster.url)
    url.username = user
    url.password = encodeURIComponent(password ?? '')
    url.pathname = `/${database}`
    if (!viaSocket) url.search = query ?? ''
    if (!viaSocket) url.host = `127.0.0.1:${at ?? port}`
    return url.href
  }
  const refusal = (place: Place) =>
    openDatabase({ url: urlOf(place), dataDir: '', connectTimeoutMs: 2_000 }).then(
      (database) => database.close().then(() => 'it opened'),
      (error: unknown) => error,
    )
  const told = (text: RegExp, retryable = false) => ({
    code: 'database_unavailable',
    retryable,
    message: expect.stringMatching(text),
  })

  test('with a password of every character opens', async () => {
    expect(await refusal({ password: SECRET })).toBe('it opened')
  })

  test('with a wrong user, password or database says which, where, and what to do', async () => {
    const here = `the server 127\\.0\\.0\\.1:${port}`
    const cases: [Place, RegExp][] = [
      [{ password: 'wrong-secret' }, RegExp(`${here} refuses the password of ada\\. Correct it`)],
      [{}, RegExp(`${here} asks for the password of ada, and there is none`)],
      [{ password: SECRET, database: 'nope' }, RegExp(`${here} has no database nope.*createdb`)],
      [{ password: SECRET, database: 'closed' }, /ada may not connect to the database closed/],
      [{ user: 'locked', password: SECRET }, /pg_hba\.conf/],
      [{ user: 'nobody', viaSocket: true }, /the socket \/.* has no user nobody.*create role/],
    ]
    for (const [place, text] of cases) {
      const error = await refusal(place)
      expect(error).toMatchObject(told(text))
      expect(String(error)).toMatch(/^AppError: DATABASE_URL: /)
      expect(String(error)).not.toMatch(/wrong-secret|hunter|shortly/)
    }
  })

  test('to a server that may come is worth another try', async () => {
    const nowhere = await freePort()
    expect(await refusal({ at: nowhere })).toMatchObject(
      told(
        RegExp(`Nothing listens at the server 127\\.0\\.0\\.1:${nowhere} \\(ECONNREFUSED\\)`),
        true,
      ),
    )
    expect(await refusal({ user: 'single', password: SECRET })).toMatchObject(
      told(/no connection left .*max_connections/, true),
    )
    const proxy = await startPausableProxy(cluster.url)
    onTestFinished(() => proxy.close())
    proxy.pause()
    const silent = Number(new URL(proxy.url).port)
    expect(await refusal({ at: silent })).toMatchObject(told(/does not answer.*firewall/, true))
    proxy.cut()
    expect(await refusal({ at: silent })).toMatchObject(told(/ended the connection/, true))
  })

  test('to something that is no PostgreSQL says so', async () => {
    const other = createServer((socket) => {
      socket.on('error', () => {})
      socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')
    })
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void other.close())
    const { port: at } = other.address() as { port: number }
    expect(await refusal({ at })).toMatchObject({
      code: 'database_unavailable',
      message: expect.stringMatching(/DATABASE_URL: .*is a PostgreSQL/),
    })
  })

  test('to a database that is not UTF8 says how to make one that is', async () => {
    expect(await refusal({ password: SECRET, database: 'latin' })).toMatchObject(
      told(/latin stores text as LATIN1.*encoding 'UTF8'/),
    )
  })

  test('with ?schema= keeps its tables there, and says when there is none', async () => {
    const query = `?schema=${encodeURIComponent('My "own" schema\\')}`
    expect(await refusal({ password: SECRET, query })).toMatchObject(
      told(/gateway has no schema to use: search_path is "My ""own"" schema\\"/),
    )
    const admin = urlOf({ user: 'postgres', viaSocket: true })
    await runSql(admin, 'create schema "My ""own"" schema\\" authorization ada')
    const database = await openDatabase({ url: urlOf({ password: SECRET, query }), dataDir: '' })
    await migrateToLatest(database.db, database.kind)
    const { rows } = await sql<{ schema: string }>`
      select distinct schemaname as schema from pg_tables
      where tablename in ('users', 'messages')`.execute(database.db)
    await database.close()
    expect(rows).toEqual([{ schema: 'My "own" schema\\' }])
  })

  test('as somebody who may make no tables says what to grant', async () => {
    await runSql(cluster.url, `create role eve login password '${SECRET}'`)
    const admin = urlOf({ user: 'postgres', viaSocket: true })
    await runSql(admin, 'revoke create on schema public from public')
    expect(await refusal({ user: 'eve', password: SECRET })).toMatchObject(
      told(/may not create tables in the schema public of gateway: grant create/),
    )
  })

  test('as somebody who may not read the tables of another says whose they are', async () => {
    const admin = urlOf({ user: 'postgres', viaSocket: true })
    await runSql(admin, 'create schema taken authorization ada')
    await runSql(
      admin,
      "create role mallory login password 'x'; grant usage on schema taken to mallory",
    )
    const query = '?schema=taken'
    const database = await openDatabase({ url: urlOf({ password: SECRET, query }), dataDir: '' })
    await migrateToLatest(database.db, database.kind)
    await database.close()
    expect(await refusal({ user: 'mallory', password: 'x', query })).toMatchObject(
      told(/in the schema taken of gateway belong to ada, .*may not read them. Connect as ada/),
    )
  })
})

/** Those that no server of ours gives at will. */
test.each([
  ['ENOTFOUND', 'getaddrinfo ENOTFOUND db.example', false, /by the name db\.example/],
  ['EAI_AGAIN', 'getaddrinfo EAI_AGAIN db.example', true, /db\.example cannot be looked up now/],
  ['57P03', 'the database system is starting up', true, /db\.example:5433 .*is starting up/],
  ['EHOSTUNREACH', 'connect EHOSTUNREACH', true, /does not answer \(EHOSTUNREACH\)/],
  ['08P01', 'unsupported startup parameter: options', false, /pooler takes no options/],
  ['08P01', 'no such database: gateway', false, /has no database gateway/],
  ['XX000', 'Tenant or user not found', false, /says: Tenant or user not found \(XX000\)/],
  ['08P01', 'server login has been failing', true, /says: server login has been failing/],
])('%s "%s" is explained', (code, message, retryable, text) => {
  const error = Object.assign(new Error(message), { code })
  const explained = explainConnectError(error, 'postgres://ada:hunter@db.example:5433/gateway')
  expect(explained).toMatchObject({ code: 'database_unavailable', retryable, cause: error })
  expect(explained.message).toMatch(text)
  expect(explained.message).not.toContain('hunter')
})
