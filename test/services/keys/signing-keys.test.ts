/** Rotation of the signing key under a running gateway, and under two on one database. */

import { decodeProtectedHeader } from 'jose'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { createApp } from '../../../src/app.ts'
import { createLogger } from '../../../src/log.ts'
import { runSql } from '../../support/database-supplies.ts'
import { freshDatabaseOptions, hasPostgresql } from '../../support/databases.ts'
import { PATIENCE } from '../../support/patience.ts'
import { proofOf } from '../../support/signed-up.ts'
import { startApp, type TestApp, type TestUser } from '../../support/start-app.ts'

type Replica = TestApp['app']

const kidOf = (token: string) => decodeProtectedHeader(token).kid
const keysOf = ({ services }: Replica) => services.signingKeys

async function accepts({ services }: Replica, token: string): Promise<boolean> {
  const outcome = services.sessions.resolve(token)
  return outcome.then(
    () => true,
    () => false,
  )
}

describe.runIf(hasPostgresql)('two replicas on one PostgreSQL', () => {
  let first: TestApp
  let replicas: [Replica, Replica]
  let user: TestUser

  beforeEach(async () => {
    first = await startApp({ kind: 'postgresql', env: { SESSION_TIMEOUT: '7200' } })
    const second = await createApp(first.config, { log: createLogger('silent') })
    replicas = [first.app, second]
    user = await first.register()
  })
  afterEach(async () => {
    await replicas[1].close(0)
    await first.close()
  })

  const age = (interval: string) =>
    runSql(
      first.databaseUrl as string,
      `update signing_keys set created_at = created_at - interval '${interval}'`,
    )
  const reload = () => Promise.all(replicas.map((replica) => keysOf(replica).reload()))
  const issueEach = () =>
    Promise.all(
      replicas.map(
        async (app) =>
          (await app.services.sessions.issue(await proofOf({ app }, user.userId))).accessToken,
      ),
    )
  const expectAllAccepted = async (tokens: string[]) => {
    for (const replica of replicas) {
      for (const token of tokens) expect(await accepts(replica, token)).toBe(true)
    }
  }

  test('each accepts what the other signs, before, during and after', async () => {
    const [a, b] = replicas
    const old = keysOf(a).current.signer.kid
    expect(keysOf(b).current.signer.kid).toBe(old)
    const before = await issueEach()

    const kid = await keysOf(a).rotate({ dropOld: false })
    expect(keysOf(a).current.all.map((key) => key.kid)).toEqual([old, kid])
    await keysOf(b).reload()
    const young = await issueEach()
    expect(young.map(kidOf), 'not before all know it').toEqual([old, old])

    await age('61 seconds')
    await keysOf(b).reload()
    const mixed = await issueEach()
    expect(mixed.map(kidOf), 'one of them is late').toEqual([old, kid])
    await expectAllAccepted([...before, ...young, ...mixed])

    await keysOf(a).reload()
    const after = await issueEach()
    expect(after.map(kidOf)).toEqual([kid, kid])
    await expectAllAccepted([...before, ...young, ...mixed, ...after])

    await age('7200 seconds')
    await reload()
    await expectAllAccepted([...before, ...mixed])
    await age('61 seconds')
    await reload()
    for (const replica of replicas) {
      expect(keysOf(replica).current.all.map((key) => key.kid)).toEqual([kid])
      expect(await accepts(replica, before[0] as string)).toBe(false)
    }
    await expectAllAccepted(after)
    expect(await runSql(first.databaseUrl as string, 'select kid from signing_keys')).toEqual([
      { kid },
    ])
  })

  test('the others follow by themselves, and dropped keys end every token', async () => {
    const [a, b] = replicas
    const [, token = ''] = await issueEach()
    const kid = await keysOf(a).rotate({ dropOld: true })
    expect(await accepts(a, token)).toBe(false)
    expect(kidOf((await issueEach())[0] as string)).toBe(kid)
    await vi.waitUntil(async () => !(await accepts(b, token)), { ...PATIENCE, interval: 100 })
    const fresh = await issueEach()
    expect(fresh.map(kidOf)).toEqual([kid, kid])
    await expectAllAccepted(fresh)

    // Once more, so that it was not only the first look after the start.
    const next = await keysOf(a).rotate({ dropOld: false })
    const knows = () => keysOf(b).current.all.some((key) => key.kid === next)
    await vi.waitUntil(knows, { ...PATIENCE, interval: 100 })
  })

  test('whoever wants to know is told of each change once, with what it takes to sign', async () => {
    const [, b] = replicas
    const told: { signer: string; all: number; isPrivate: boolean }[] = []
    keysOf(b).onChange(({ signer, all }) =>
      told.push({
        signer: signer.kid,
        all: all.length,
        isPrivate: all.every(({ privateJwk }) => typeof privateJwk.d === 'string'),
      }),
    )
    const old = keysOf(b).current.signer.kid
    const kid = await keysOf(b).rotate({ dropOld: false })
    await keysOf(b).reload()
    await age('61 seconds')
    await keysOf(b).reload()
    expect(told).toEqual([
      { signer: old, all: 2, isPrivate: true },
      { signer: kid, all: 2, isPrivate: true },
    ])
  })

  test('a key that does not open is logged, and stops nothing', async () => {
    const [a] = replicas
    const { signer } = keysOf(a).current
    await runSql(
      first.databaseUrl as string,
      "insert into signing_keys (kid, public_jwk, sealed) values ('foreign', '{}', '\\x00')",
    )
    const logged = () =>
      first.logLines.some((line) => line.includes('signing keys could not be read'))
    await vi.waitUntil(logged, { ...PATIENCE, interval: 100 })
    expect(keysOf(a).current.signer).toBe(signer)
    await expectAllAccepted(await issueEach())
  })
})

test('the embedded database keeps its keys over a restart, rotated or not', async () => {
  const fresh = await freshDatabaseOptions('embedded')
  const first = await startApp({ kind: 'embedded', database: fresh })
  const user = await first.register()
  const old = keysOf(first.app).current.signer.kid
  const kid = await keysOf(first.app).rotate({ dropOld: false })
  await first.close()
  const again = await startApp({ kind: 'embedded', database: fresh })
  expect(keysOf(again.app).current.all.map((key) => key.kid)).toEqual([old, kid])
  expect(await accepts(again.app, user.accessToken)).toBe(true)
  await again.close()
  await fresh.drop()
})
