import { expect, test } from 'vitest'
import { BodyBudget, bodyBudgetLimits, type Sender } from '../../../src/http/bodies/body-budget.ts'

const LIMITS = { processBytes: 100, strangersBytes: 60, userBytes: 40, addressBytes: 30 }
const user = (key: string): Sender => ({ kind: 'user', key })
const address = (key: string): Sender => ({ kind: 'address', key })

test('one address has its share, and gets it back', () => {
  const budget = new BodyBudget(LIMITS)
  const held = budget.hold(address('a'), 20)
  expect(() => budget.hold(address('a'), 11)).toThrow(/from this address/)
  budget.hold(address('a'), 10)
  held.release()
  held.release()
  budget.hold(address('a'), 20)
  expect(() => budget.hold(address('a'), 1)).toThrow(
    expect.objectContaining({ code: 'rate_limited' }),
  )
})

test('strangers together leave a part to users', () => {
  const budget = new BodyBudget(LIMITS)
  budget.hold(address('a'), 30)
  budget.hold(address('b'), 30)
  expect(() => budget.hold(address('c'), 1)).toThrow(
    expect.objectContaining({ code: 'overloaded' }),
  )
  budget.hold(user('a'), 40)
  expect(() => budget.hold(user('a'), 1)).toThrow(/from this user/)
  expect(() => budget.hold(user('b'), 1)).toThrow(expect.objectContaining({ code: 'overloaded' }))
})

test('a body that grows is counted as it grows; one that is refused is not', () => {
  const budget = new BodyBudget(LIMITS)
  const held = budget.hold(address('a'), 10)
  held.grow(15)
  expect(() => held.grow(10)).toThrow(/from this address/)
  held.release()
  budget.hold(address('a'), 30)
})

test.each([128, 512, 4096, 65_536])('with %i MB there is room for two of the largest', (mb) => {
  const maxBodyBytes = 4 * 1024 * 1024
  const limits = bodyBudgetLimits(mb * 1024 * 1024, maxBodyBytes)
  for (const bytes of Object.values(limits)) expect(bytes).toBeGreaterThanOrEqual(2 * maxBodyBytes)
  expect(limits.processBytes).toBeLessThanOrEqual(
    Math.max((mb * 1024 * 1024) / 8, 2 * maxBodyBytes),
  )
  expect(limits.strangersBytes).toBeLessThanOrEqual(limits.processBytes)
})
