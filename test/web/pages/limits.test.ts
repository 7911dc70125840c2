/** The pages and the tools count in the same limiters. */

import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { bearer, post, toolCall } from '../../http/posting.ts'
import type { Visited } from '../../support/browser.ts'
import { signUp as signUpByService } from '../../support/signed-up.ts'
import { startApp, type TestApp } from '../../support/start-app.ts'
import { browserOf, newName, PASSWORD, signUp } from './visiting.ts'

const PER_USER = 12

let app: TestApp
beforeAll(async () => {
  app = await startApp({
    kind: 'embedded',
    env: {
      REGISTRATIONS_PER_HOUR: '2',
      SIGN_INS_PER_MINUTE: '2',
      REQUESTS_PER_MINUTE: String(PER_USER),
      // Gives every test addresses of its own.
      TRUST_PROXY: '1',
    },
  })
})
afterAll(() => app.close())

let addresses = 0
const newAddress = () => ({ 'x-forwarded-for': `198.51.100.${++addresses}` })

function expect429({ status, headers, text }: Visited, message: string): void {
  expect(status).toBe(429)
  expect(text).toContain('One moment, please')
  expect(text).toContain(message)
  expect(Number(headers.get('retry-after'))).toBeGreaterThanOrEqual(1)
}

test('sign-ins', async () => {
  const headers = newAddress()
  const filled = { username: newName(), password: PASSWORD }
  const browser = browserOf(app)
  const signIn = async (from: Record<string, string>) => {
    await browser.open('/sign-in', from)
    return browser.submit('/sign-in', filled, { headers: from })
  }
  expect((await signIn(headers)).status).toBe(422)
  const byTool = await post(app.url, toolCall('authenticate_user', filled), headers)
  expect(byTool.text).toContain('invalid_credentials')
  expect429(await signIn(headers), 'Too many sign-ins from this address.')
  const limitedTool = await post(app.url, toolCall('authenticate_user', filled), headers)
  expect(limitedTool.text).toContain('rate_limited')
  expect((await signIn(newAddress())).status).toBe(422)
})

test('passwords that a page asks for again, which count as sign-ins', async () => {
  const { username, userId } = await signUpByService(app)
  const browser = browserOf(app)
  await browser.open('/sign-in')
  await browser.submit('/sign-in', { username, password: PASSWORD }, { headers: newAddress() })
  await sql`update sessions set proven_at = null where user_id = ${userId}`.execute(app.app.db)
  const headers = newAddress()
  await browser.open('/account/tokens', headers)
  const token = { name: 'a token', days: '7', permissions: ['usage:read'] }
  await browser.submit('/account/tokens', token, { headers })
  const prove = () => browser.submit('/account/tokens', { your_password: 'a guess' }, { headers })
  expect((await prove()).status).toBe(422)
  expect((await prove()).status).toBe(422)
  expect429(await prove(), 'Too many sign-ins from this address.')
})

test('tests of Anthropic keys, which count as sign-ins', async () => {
  const { browser } = await signUp(app)
  const headers = newAddress()
  const tryKey = async () => {
    await browser.open('/account/key', headers)
    return browser.submit('/account/key', { key: 'sk-ant-admin01-found' }, { headers })
  }
  expect((await tryKey()).status).toBe(400)
  expect((await tryKey()).status).toBe(400)
  expect429(await tryKey(), 'Too many sign-ins from this address.')
})

test('registrations', async () => {
  const headers = newAddress()
  const signUpOnce = async () => {
    const browser = browserOf(app)
    await browser.open('/sign-up', headers)
    const username = newName()
    const email = `${username}@example.com`
    return browser.submit('/sign-up', { username, email, password: PASSWORD }, { headers })
  }
  expect((await signUpOnce()).url.pathname).toBe('/account/key')
  const username = newName()
  const wanted = { username, email: `${username}@example.com`, anthropic_api_key: 'sk-ant-api03-x' }
  const byTool = await post(app.url, toolCall('register_user', wanted), headers)
  expect(byTool.text).toContain('User registered')
  const refused = await signUpOnce()
  expect429(refused, 'Too many registrations from this address.')
  expect(refused.text).toMatch(/Try again in (?:60|59|58) minutes\./)
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(3000)
  const limitedTool = await post(app.url, toolCall('register_user', wanted), headers)
  expect(limitedTool.text).toMatch(/Try again in \d+ s\./)
})

test('requests of one user', async () => {
  const { browser, username } = await signUp(app)
  const { accessToken } = await app.app.services.accounts.authenticate(username, PASSWORD)
  const answers: number[] = []
  for (let i = 0; i < PER_USER; i += 1) answers.push((await browser.open('/account')).status)
  expect(answers).toContain(200)
  expect429(await browser.open('/account'), 'Too many requests.')
  const byTool = await post(app.url, toolCall('get_conversations'), bearer(accessToken))
  expect(byTool.text).toContain('rate_limited')
})
