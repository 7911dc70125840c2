/** Limits and what was spent outlive an account, and nothing that names it does. */

import { randomBytes } from 'node:crypto'
import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { KeyRing } from '../../../src/crypto/sealed.ts'
import { dumpTables, placesOf } from '../../security/at-rest.ts'
import {
  describeDatabases,
  type FreshDatabase,
  freshDatabaseOptions,
} from '../../support/databases.ts'
import { startApp, type TestApp } from '../../support/start-app.ts'

const PASSWORD = 'a password of some length'
const OLD_KEY = randomBytes(32).toString('base64')
const NEW_KEY = randomBytes(32).toString('base64')

describeDatabases('a budget after its account', (kind) => {
  let fresh: FreshDatabase
  let app: TestApp

  const start = (env: Record<string, string>) => startApp({ kind, database: fresh, env })
  beforeAll(async () => {
    fresh = await freshDatabaseOptions(kind)
    app = await start({ ENCRYPTION_KEY: OLD_KEY })
  })
  afterAll(async () => {
    await app.close()
    await fresh.drop()
  })

  type Names = { username: string; email: string }
  const newNames = (): Names => {
    const name = `user-${randomBytes(6).toString('hex')}`
    return { username: name, email: `${name}@example.com` }
  }
  const signUp = async (names: Names) =>
    (await app.app.services.accounts.signUp({ ...names, password: PASSWORD })).userId
  const remove = ({ username }: Names) =>
    app.app.services.userAdministration.delete('operator', username)
  const budgetOf = async ({ username }: Names) => {
    const [day, month] = await app.app.services.budgetSettings.showForUser(username)
    return { day, month }
  }
  /** By a real call of theirs. */
  async function spend(names: Names): Promise<number> {
    const issued = await app.app.services.accounts.authenticate(names.username, PASSWORD)
    const client = await app.connect('legacy', issued.accessToken)
    const key = 'sk-ant-api03-of-a-former-account'
    await client.call('update_api_key', { anthropic_api_key: key })
    const answer = await client.call('send_message', { message: 'Hello there.' })
    return answer.structured.data.cost_usd * 1e9
  }
  const limitOf = (names: Names, limitUsd: bigint) =>
    app.app.services.budgetSettings.setForUser(names.username, 'month', {
      nanoUsd: limitUsd * 1_000_000_000n,
      tokens: null,
    })

  test('still covers everything, with what teams had paid', async () => {
    const gone = newNames()
    const userId = await signUp(gone)
    const limit = { nanoUsd: 7_000_000_000n, tokens: null }
    const { budgetSettings } = app.app.services
    await budgetSettings.setForUser(gone.username, 'month', limit, 'everything')
    const cost = BigInt(Math.round(await spend(gone)))
    await sql`
      update spending set team_spent_nano_usd = 1000 where user_id = ${userId} and period = 'month'
    `.execute(app.app.db)
    await remove(gone)
    const again = { ...newNames(), username: gone.username }
    await signUp(again)
    const { day, month } = await budgetOf(again)
    expect(month).toMatchObject({ covers: 'everything', limit, spent: { nanoUsd: cost + 1000n } })
    expect(day?.spent.nanoUsd).toBe(cost)
  })

  test('follows the name, and the address, and nobody else', async () => {
    const gone = newNames()
    await signUp(gone)
    await limitOf(gone, 7n)
    const cost = BigInt(Math.round(await spend(gone)))
    expect(cost).toBeGreaterThan(0n)
    await remove(gone)

    const stranger = newNames()
    await signUp(stranger)
    expect((await budgetOf(stranger)).month?.spent.nanoUsd).toBe(0n)

    const sameName = { ...newNames(), username: gone.username.toUpperCase() }
    await signUp(sameName)
    const sameAddress = { ...newNames(), email: gone.email.toUpperCase() }
    await signUp(sameAddress)
    for (const again of [sameName, sameAddress]) {
      const { day, month } = await budgetOf(again)
      expect(day?.spent.nanoUsd).toBe(cost)
      expect(month).toMatchObject({ spent: { nanoUsd: cost }, limit: { nanoUsd: 7_000_000_000n } })
      expect(month?.spent.tokens).toBeGreaterThan(0)
    }
    expect(await app.app.repositories.ledgerAudit.listDrift()).toEqual([])
  })

  test('adds up over several accounts, under every name that they had', async () => {
    const first = newNames()
    await signUp(first)
    const one = BigInt(Math.round(await spend(first)))
    await remove(first)
    const second = { ...newNames(), username: first.username }
    await signUp(second)
    const two = BigInt(Math.round(await spend(second)))
    await remove(second)
    // Its name was never the second's, and its address not the first's.
    for (const email of [first.email, second.email]) {
      const third = { ...newNames(), email }
      await signUp(third)
      expect((await budgetOf(third)).month?.spent.nanoUsd).toBe(one + two)
      await remove(third)
    }
    // Both of one person: once.
    const both = { username: first.username, email: second.email }
    await signUp(both)
    expect((await budgetOf(both)).month?.spent.nanoUsd).toBe(one + two)
    expect(await app.app.repositories.ledgerAudit.listDrift()).toEqual([])
  })

  test('a day and a month that are over count no more, an admin’s limit does', async () => {
    const gone = newNames()
    await signUp(gone)
    await limitOf(gone, 3n)
    await spend(gone)
    await remove(gone)
    const plain = newNames()
    await signUp(plain)
    await spend(plain)
    await remove(plain)
    const longAgo = sql`day = day - 90, month = (month - interval '3 months')::date`
    await sql`update former_accounts set ${longAgo}`.execute(app.app.db)
    await app.app.repositories.formerAccounts.deleteOver()

    await signUp(gone)
    expect((await budgetOf(gone)).month).toMatchObject({
      spent: { nanoUsd: 0n, tokens: 0 },
      limit: { nanoUsd: 3_000_000_000n },
    })
    await signUp(plain)
    expect((await budgetOf(plain)).month?.limit.nanoUsd).toBeNull()
  })

  test('survives that the encryption key is replaced', async () => {
    const gone = newNames()
    await signUp(gone)
    await limitOf(gone, 5n)
    const cost = BigInt(Math.round(await spend(gone)))
    await remove(gone)
    await app.close()
    app = await start({ ENCRYPTION_KEY: NEW_KEY, ENCRYPTION_KEYS_PREVIOUS: OLD_KEY })
    const newKeyId = new KeyRing(Buffer.from(NEW_KEY, 'base64')).currentKeyId
    await expect
      .poll(async () => (await app.app.repositories.dataKeys.findNames(newKeyId)) === undefined)
      .toBe(true)
    await app.close()
    app = await start({ ENCRYPTION_KEY: NEW_KEY })
    await signUp(gone)
    expect((await budgetOf(gone)).month).toMatchObject({
      spent: { nanoUsd: cost },
      limit: { nanoUsd: 5_000_000_000n },
    })
  })

  test('leaves no name behind', async () => {
    const gone = newNames()
    const userId = await signUp(gone)
    await limitOf(gone, 1n)
    await remove(gone)
    const dump = await dumpTables(app.app.db)
    dump.delete('public.rate_limits')
    // Its events name the account by its id only.
    dump.delete('public.audit_events')
    for (const trace of [gone.username, gone.email, userId])
      expect(placesOf(trace, dump)).toEqual([])
  })
})
