import { randomBytes } from 'node:crypto'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { RecentKeys } from '../../src/crypto/recent-keys.ts'
import { type Binding, DataKey, KeyRing } from '../../src/crypto/sealed.ts'

const MINUTE_MS = 60_000
const HERE: Binding = { table: 'conversations', column: 'data_key', row: 'c1', owner: 'u1' }

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance', 'Date'] })
  // The cache takes a time of 0 for none.
  vi.advanceTimersByTime(1)
})
afterEach(() => {
  vi.useRealTimers()
})

test('a key is found by the very bytes that were unwrapped', () => {
  const recent = new RecentKeys()
  const wrapped = randomBytes(69)
  const key = {}
  recent.set(wrapped, HERE, key)
  expect(recent.get(Uint8Array.from(wrapped), HERE)).toBe(key)
  for (const at of [0, 8, 30, 68]) {
    const damaged = Buffer.from(wrapped)
    damaged.writeUInt8(damaged.readUInt8(at) ^ 1, at)
    expect(recent.get(damaged, HERE), `byte ${at}`).toBeUndefined()
  }
  expect(recent.get(wrapped.subarray(0, -1), HERE)).toBeUndefined()
})

test.each([
  { ...HERE, table: 'users' },
  { ...HERE, column: 'title' },
  { ...HERE, row: 'c2' },
  { ...HERE, owner: 'u2' },
])('a key is not found for $table.$column of $row, $owner', (elsewhere) => {
  const ring = new KeyRing(randomBytes(32))
  const wrapped = ring.wrap(DataKey.generate(), HERE)
  expect(ring.unwrap(wrapped, HERE)).toBe(ring.unwrap(wrapped, HERE))
  expect(() => ring.unwrap(wrapped, elsewhere)).toThrow(/^A sealed value does not open/)
})

test('a key in use is forgotten all the same, after five minutes at most', () => {
  const recent = new RecentKeys()
  const wrapped = [randomBytes(69), randomBytes(69)] as const
  recent.set(wrapped[0], HERE, {})
  vi.advanceTimersByTime(2 * MINUTE_MS)
  recent.set(wrapped[1], HERE, {})
  expect(recent.get(wrapped[0], HERE)).toBeDefined()
  vi.advanceTimersByTime(3 * MINUTE_MS)
  expect(recent.get(wrapped[0], HERE)).toBeUndefined()
  vi.advanceTimersByTime(2 * MINUTE_MS)
  expect(recent.get(wrapped[1], HERE)).toBeUndefined()
})

test('nothing ticks while nothing is remembered', () => {
  const recent = new RecentKeys()
  expect(vi.getTimerCount()).toBe(0)
  recent.set(randomBytes(69), HERE, {})
  expect(vi.getTimerCount()).toBe(1)
  vi.advanceTimersByTime(10 * MINUTE_MS)
  expect(vi.getTimerCount()).toBe(0)
  const again = randomBytes(69)
  recent.set(again, HERE, {})
  vi.advanceTimersByTime(6 * MINUTE_MS)
  expect(recent.get(again, HERE)).toBeUndefined()
})

test('four thousand at most, and the newest stay', () => {
  const recent = new RecentKeys()
  const wrapped = Array.from({ length: 10_000 }, () => randomBytes(69))
  for (const bytes of wrapped) recent.set(bytes, HERE, {})
  const found = wrapped.map((bytes) => recent.get(bytes, HERE) !== undefined)
  expect(found.filter(Boolean).length).toBeLessThanOrEqual(4_000)
  expect(found.slice(-2_000)).not.toContain(false)
})

test('a clock that is set back by a month keeps no key, and sets no timer again and again', () => {
  const recent = new RecentKeys()
  const wrapped = randomBytes(69)
  recent.set(wrapped, HERE, {})
  vi.setSystemTime(Date.now() - 31 * 24 * 60 * MINUTE_MS)
  vi.advanceTimersByTime(5 * MINUTE_MS)
  expect(recent.get(wrapped, HERE)).toBeUndefined()
  expect(vi.getTimerCount()).toBe(0)
})
