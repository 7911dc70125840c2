import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  drawRandomBytes,
  generatePassword,
  idGenerator,
  newId,
  newToken,
} from '../../src/crypto/random.ts'

const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

const millisecondsOf = (id: string) => Number.parseInt(id.replaceAll('-', '').slice(0, 12), 16)

function isStrictlyGrowing(ids: string[]): boolean {
  return ids.every((id, i) => i === 0 || id > String(ids[i - 1]))
}

test('a generated password has at least 128 bits and no look-alikes', () => {
  const made = Array.from({ length: 2_000 }, generatePassword)
  const alphabet = new Set(made.join(''))
  for (const lookAlike of '0Oo1Iil') expect(alphabet).not.toContain(lookAlike)
  expect(Math.min(...made.map((each) => each.length)) * Math.log2(alphabet.size)).toBeGreaterThan(
    128,
  )
  expect(new Set(made).size).toBe(made.length)
})

test('every character of a password is equally likely', () => {
  const counts = new Map<string, number>()
  for (const character of Array.from({ length: 10_000 }, generatePassword).join('')) {
    counts.set(character, (counts.get(character) ?? 0) + 1)
  }
  // 240 000 draws out of 55: 4 364 each, with a standard deviation of 65. A byte taken modulo 55
  // would put some of them 14 % off, which is 9 deviations.
  for (const count of counts.values()) expect(Math.abs(count - 240_000 / 55)).toBeLessThan(7 * 65)
})

test('a token is its prefix and base64url of the bytes asked for', () => {
  expect(newToken('cgr')).toMatch(/^cgr_[A-Za-z0-9_-]{43}$/)
  expect(newToken('x', 16)).toMatch(/^x_[A-Za-z0-9_-]{22}$/)
  expect(newToken('cgr')).not.toBe(newToken('cgr'))
  expect(() => newToken('x', 15)).toThrow(RangeError)
})

test('ids are UUIDv7 of the present', () => {
  const before = Date.now()
  const id = newId()
  expect(id).toMatch(UUID_V7)
  expect(millisecondsOf(id)).toBeGreaterThanOrEqual(before)
  // A test before this one may have used a counter up; it does not run ahead by a second.
  expect(millisecondsOf(id)).toBeLessThanOrEqual(Date.now() + 1_000)
})

test('ids made in a burst grow, though a millisecond’s counter runs out', () => {
  const stopped = idGenerator(() => 1_700_000_000_000)
  const ids = Array.from({ length: 20_000 }, stopped)
  expect(isStrictlyGrowing(ids)).toBe(true)
  expect(ids.every((id) => UUID_V7.test(id))).toBe(true)
  expect(millisecondsOf(ids[0] ?? '')).toBe(1_700_000_000_000)
  expect(millisecondsOf(ids.at(-1) ?? '')).toBeGreaterThan(1_700_000_000_000)
  expect(isStrictlyGrowing(Array.from({ length: 20_000 }, newId))).toBe(true)
})

test('ids grow whatever the clock does', () => {
  const clock = fc.array(fc.integer({ min: 0, max: 2 ** 48 - 2 }), { minLength: 2 })
  fc.assert(
    fc.property(clock, (readings) => {
      let i = 0
      const next = idGenerator(() => readings[i++] ?? 0)
      expect(isStrictlyGrowing(readings.map(next))).toBe(true)
    }),
  )
})

test('two processes at the same instant do not collide', () => {
  const [one, other] = [idGenerator(() => 1), idGenerator(() => 1)]
  const ids = Array.from({ length: 5_000 }, () => [one(), other()]).flat()
  expect(new Set(ids).size).toBe(10_000)
})

test('bytes from the pool are given out once, and stay as they were given out', () => {
  const drawn = Array.from({ length: 2000 }, () => drawRandomBytes(12))
  const before = drawn.map((bytes) => bytes.toString('hex'))
  const large = drawRandomBytes(10_000)
  drawRandomBytes(16).fill(0)
  expect(large).toHaveLength(10_000)
  expect(drawn.map((bytes) => bytes.toString('hex'))).toEqual(before)
  expect(new Set(before).size).toBe(2000)
})
