/** The limits that users set for themselves on /account/usage. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startApp, type TestApp } from '../../support/start-app.ts'
import { cookieOf, signUp, type Visitor } from './visiting.ts'

let app: TestApp
beforeAll(async () => {
  app = await startApp({ kind: 'embedded', env: { BUDGET_USD_PER_DAY: '5' } })
})
afterAll(() => app.close())

const save = async ({ browser }: Visitor, filled: Record<string, string>) => {
  await browser.open('/account/usage')
  return browser.submit('/account/usage', filled)
}

async function limitsOf({ browser }: Visitor) {
  const { sessions, budgetSettings } = app.app.services
  const caller = await sessions.findBrowserSession(cookieOf(browser, 'session').value)
  if (!caller) throw new Error('not signed in')
  const { day, month } = await budgetSettings.sources(caller)
  return { caller, day: day.own, month: month.own }
}

const fieldsOf = ({ browser }: Visitor) =>
  Object.fromEntries(
    browser.forms().find(({ action }) => action === '/account/usage')?.fields ?? [],
  )

test('are saved, shown, lowered and removed', async () => {
  const visitor = await signUp(app)
  const page = await save(visitor, { daily_limit: ' 2,5 ', monthly_limit: '20' })
  expect(page.text).toContain('Your limits are saved.')
  expect(page.text).toContain('$0.00 of $2.50')
  expect(page.text).toContain('$0.00 of $20.00')
  expect(page.text).toContain('all apps that you connected and all access tokens count in them')
  expect(fieldsOf(visitor)).toMatchObject({ daily_limit: '2.50', monthly_limit: '20.00' })
  await save(visitor, { daily_limit: '0', monthly_limit: '' })
  const { day, month } = await limitsOf(visitor)
  expect(day).toEqual({ nanoUsd: 0n, tokens: null })
  expect(month).toBeNull()
})

test("the gateway's and an admin's are shown as what they are, and cannot be raised", async () => {
  const visitor = await signUp(app)
  const page = await visitor.browser.open('/account/usage')
  expect(page.text).toContain('This gateway’s limit for everybody: $5.00. You can only go lower.')
  const raised = await save(visitor, { daily_limit: '5.01', monthly_limit: '1' })
  expect(raised.status).toBe(422)
  expect(raised.html).toMatch(/id="field-daily_limit-error">You are limited to \$5\.00\./)
  expect(fieldsOf(visitor)).toMatchObject({ daily_limit: '5.01', monthly_limit: '1' })
  expect(await limitsOf(visitor)).toMatchObject({ day: null, month: null })
  const limit = { nanoUsd: 3_000_000_000n, tokens: null }
  await app.app.services.budgetSettings.setForUser(visitor.username, 'day', limit)
  const lowered = await visitor.browser.open('/account/usage')
  expect(lowered.text).toContain('Set for you by an admin: $3.00. You can only go lower.')
  expect((await save(visitor, { daily_limit: '3' })).status).toBe(200)
})

describe('what a tool has set', () => {
  test('in tokens stays, and an amount finer than a cent stays until it is changed', async () => {
    const visitor = await signUp(app)
    const { caller } = await limitsOf(visitor)
    const { budgetSettings } = app.app.services
    const fine = { nanoUsd: 1_234_567n, tokens: 9_000 }
    await budgetSettings.set(caller, undefined, 'month', fine)
    expect((await save(visitor, { daily_limit: '1' })).text).toContain('Your limits are saved.')
    expect((await limitsOf(visitor)).month).toEqual(fine)
    await save(visitor, { monthly_limit: '' })
    expect((await limitsOf(visitor)).month).toEqual({ nanoUsd: null, tokens: 9_000 })
  })
})

test.each(['$5', '5 USD', 'usd 5', '5,00', '5.0', 'US$ 5', ' 5$ '])(
  '%j is five',
  async (amount) => {
    const visitor = await signUp(app)
    const page = await save(visitor, { daily_limit: amount })
    expect(page.text).toContain('Your limits are saved.')
    expect((await limitsOf(visitor)).day).toEqual({ nanoUsd: 5_000_000_000n, tokens: null })
  },
)

test.each(['lots', '-1', '$-1', '1e3', '1.234', '1,000', '$', '5 EUR', '1000000'])(
  '%j is refused beside its field',
  async (amount) => {
    const page = await save(visitorOfAll, { monthly_limit: amount })
    expect(page.status).toBe(422)
    expect(page.html).toMatch(/id="field-monthly_limit-error">The monthly limit must be an amount/)
    expect((await limitsOf(visitorOfAll)).month).toBeNull()
  },
)

let visitorOfAll: Visitor
beforeAll(async () => {
  visitorOfAll = await signUp(app)
})
