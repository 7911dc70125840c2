import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { RecentClaims } from '../../src/crypto/recent-claims.ts'

const START = new Date('2026-11-22T12:00:00Z').getTime()

beforeEach(() => {
  vi.useFakeTimers({ now: START, toFake: ['Date'] })
})
afterEach(() => {
  vi.useRealTimers()
})

const goodFor = (seconds: number) => ({ expiresAt: new Date(START + seconds * 1000) })

test('claims are remembered by the whole token, for a minute', () => {
  const recent = new RecentClaims()
  const claims = goodFor(3600)
  recent.set('a.b.signature', claims)
  expect(recent.get('a.b.signature')).toBe(claims)
  expect(recent.get('a.b.other')).toBeUndefined()
  vi.setSystemTime(START + 59_999)
  expect(recent.get('a.b.signature')).toBe(claims)
  vi.setSystemTime(START + 60_000)
  expect(recent.get('a.b.signature')).toBeUndefined()
})

test('never for longer than the token is good', () => {
  const recent = new RecentClaims()
  recent.set('token', goodFor(5))
  vi.setSystemTime(START + 4999)
  expect(recent.get('token')).toBeDefined()
  vi.setSystemTime(START + 5000)
  expect(recent.get('token')).toBeUndefined()
})

test('of more than ten thousand the first one goes', () => {
  const recent = new RecentClaims()
  for (let i = 0; i <= 10_000; i++) recent.set(`token-${i}`, goodFor(3600))
  expect(recent.get('token-0')).toBeUndefined()
  expect(recent.get('token-1')).toBeDefined()
  expect(recent.get('token-10000')).toBeDefined()
})
