import { expect, test } from 'vitest'
import { holdForm, takeForm } from '../../../src/services/access/held-form.ts'

const BINDING = { sessionSecret: 'browser_secret', path: '/account/key' }
const FORM = { api_key: 'sk-ant-api03-é', limit: ['1', '2'] }

test('a held form comes back for its session and address only', () => {
  const held = holdForm(FORM, BINDING)
  expect(takeForm(held, BINDING)).toEqual(FORM)
  expect(takeForm(held, { ...BINDING, sessionSecret: 'browser_other' })).toBeUndefined()
  expect(takeForm(held, { ...BINDING, path: '/account/tokens' })).toBeUndefined()
})

test('a held form shows nothing of itself, and is never the same twice', () => {
  const [first, second] = [holdForm(FORM, BINDING), holdForm(FORM, BINDING)]
  expect(first).toMatch(/^[\w-]+$/)
  expect(first).not.toBe(second)
  expect(Buffer.from(first, 'base64url').toString('latin1')).not.toContain('sk-ant')
})

test('a held form that was changed does not come back', () => {
  const held = Buffer.from(holdForm(FORM, BINDING), 'base64url')
  for (const [at] of held.entries()) {
    const changed = Buffer.from(held)
    changed[at] = (changed[at] as number) ^ 1
    expect(takeForm(changed.toString('base64url'), BINDING)).toBeUndefined()
  }
  for (const text of ['', 'AAAA', 'not base64 at all!'])
    expect(takeForm(text, BINDING)).toBeUndefined()
})
