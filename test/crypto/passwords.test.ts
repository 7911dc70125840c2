import { randomBytes } from 'node:crypto'
import * as argon2 from 'argon2'
import { beforeEach, expect, test, vi } from 'vitest'
import {
  ARGON2_PARAMETERS,
  hashesAtOnce,
  MAX_PASSWORD_LENGTH,
  Passwords,
} from '../../src/crypto/passwords.ts'
import { KeyRing } from '../../src/crypto/sealed.ts'
import { AppError } from '../../src/errors.ts'

// Watches the real argon2: nothing is replaced.
vi.mock('argon2', { spy: true })

const PHC_OF_TODAY =
  /^\$argon2id\$v=19\$m=19456,t=2,p=1,keyid=[A-Za-z0-9+/]{11}\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/

const key = randomBytes(32)
const ring = new KeyRing(key)
const passwords = new Passwords(ring)
/** What argon2 gets to see. */
const secretOf = (password: string) => ring.mac('password', password)
const verifications = () => vi.mocked(argon2.verify).mock.calls

beforeEach(() => {
  vi.resetAllMocks()
})

test('a hash verifies its password and no other', async () => {
  const hash = await passwords.hash('correct horse')
  expect(hash).toMatch(PHC_OF_TODAY)
  await expect(passwords.verify(hash, 'correct horse')).resolves.toBe(true)
  await expect(passwords.verify(hash, 'correct horsf')).resolves.toBe(false)
  await expect(passwords.verify(hash, '')).resolves.toBe(false)
  expect(await passwords.hash('correct horse')).not.toBe(hash)
})

test('a password verifies however its accents were composed', async () => {
  const hash = await passwords.hash('cafe\u0301')
  await expect(passwords.verify(hash, 'caf\u00e9')).resolves.toBe(true)
  await expect(passwords.verify(hash, 'cafe')).resolves.toBe(false)
})

test('an unknown user costs one argon2 verification of today’s parameters', async () => {
  await expect(passwords.verify(undefined, 'guess')).resolves.toBe(false)
  expect(verifications()).toEqual([[expect.stringMatching(PHC_OF_TODAY), secretOf('guess')]])
  await expect(vi.mocked(argon2.verify).mock.results[0]?.value).resolves.toBe(false)
})

test('an unknown user waits in the same queue and is refused when it is full', async () => {
  const busy = new Passwords(ring, { concurrency: 1, maxQueued: 1 })
  const running = busy.verify(undefined, 'a')
  const waiting = busy.verify(undefined, 'b')
  await expect(busy.verify(undefined, 'c')).rejects.toMatchObject({ code: 'overloaded' })
  await expect(Promise.all([running, waiting])).resolves.toEqual([false, false])
})

test('the longest password allowed works; a longer one is refused before it is hashed', async () => {
  const longest = 'x'.repeat(MAX_PASSWORD_LENGTH)
  const hash = await passwords.hash(longest)
  await expect(passwords.verify(hash, longest)).resolves.toBe(true)

  vi.clearAllMocks()
  await expect(passwords.hash(`${longest}y`)).rejects.toMatchObject({ code: 'invalid_input' })
  expect(argon2.hash).not.toHaveBeenCalled()
})

test('too long a password verifies as false after the same work, also by its prefix', async () => {
  const longest = 'x'.repeat(MAX_PASSWORD_LENGTH)
  const hash = await passwords.hash(longest)
  await expect(passwords.verify(hash, `${longest}y`)).resolves.toBe(false)
  expect(verifications()).toEqual([[expect.stringMatching(PHC_OF_TODAY), secretOf(longest)]])
  expect(verifications()[0]?.[0]).not.toBe(hash)
})

test('never more at once than the cap, and every caller gets its own answer', async () => {
  const capped = new Passwords(ring, { concurrency: 2, maxQueued: 20 })
  const hash = await capped.hash('right')
  const actual = await vi.importActual<typeof argon2>('argon2')
  let inFlight = 0
  let most = 0
  vi.mocked(argon2.verify).mockImplementation(async (...args) => {
    most = Math.max(most, ++inFlight)
    return actual.verify(...args).finally(() => inFlight--)
  })
  const guesses = ['right', 'wrong', 'right', 'right', 'wrong', 'wrong', 'right']
  const answers = Promise.all(guesses.map((guess) => capped.verify(hash, guess)))
  await expect(answers).resolves.toEqual(guesses.map((guess) => guess === 'right'))
  expect(most).toBe(2)
})

test('beyond the queue: overloaded, with a time to come back', async () => {
  const small = new Passwords(ring, { concurrency: 1, maxQueued: 2 })
  const accepted = ['a', 'b', 'c'].map((password) => small.hash(password))
  const refusal = await small.hash('d').catch((thrown: unknown) => thrown)
  expect(refusal).toBeInstanceOf(AppError)
  expect(refusal).toMatchObject({ code: 'overloaded', retryable: true, retryAfterSeconds: 1 })
  await expect(Promise.all(accepted)).resolves.toHaveLength(3)
  await expect(small.hash('e')).resolves.toMatch(PHC_OF_TODAY)
})

test('needsRehash tells today’s parameters from every other', async () => {
  const [, keyid] = /(,keyid=[^$]+)/.exec(await passwords.hash('p')) ?? []
  const hashWith = async (parameters: Parameters<typeof argon2.hash>[1]) =>
    (await argon2.hash('p', parameters)).replace(/,p=1/, `,p=1${keyid}`)
  expect(passwords.needsRehash(await passwords.hash('p'))).toBe(false)
  const weaker = { ...ARGON2_PARAMETERS, memoryCost: 8_192 }
  expect(passwords.needsRehash(await hashWith(weaker))).toBe(true)
  const slower = { ...ARGON2_PARAMETERS, timeCost: 3 }
  expect(passwords.needsRehash(await hashWith(slower))).toBe(true)
  const otherType = { ...ARGON2_PARAMETERS, type: argon2.argon2i }
  expect(passwords.needsRehash(await hashWith(otherType))).toBe(true)
})

test('the hash of a password depends on a key that is not beside it', async () => {
  const hash = await passwords.hash('p')
  await expect(new Passwords(new KeyRing(randomBytes(32))).verify(hash, 'p')).resolves.toBe(false)
  await expect(argon2.verify(hash, 'p')).resolves.toBe(false)
  expect(vi.mocked(argon2.hash).mock.calls).toEqual([[secretOf('p'), ARGON2_PARAMETERS]])
})

test('when the key changes, hashes of the old one verify and are to be replaced', async () => {
  const hash = await passwords.hash('p')
  const rotated = new Passwords(new KeyRing(randomBytes(32), [key]))
  await expect(rotated.verify(hash, 'p')).resolves.toBe(true)
  await expect(rotated.verify(hash, 'q')).resolves.toBe(false)
  expect(rotated.needsRehash(hash)).toBe(true)
  expect(rotated.needsRehash(await rotated.hash('p'))).toBe(false)
})

test('a hash whose key is gone is nobody’s, after the same work, and its key is named', async () => {
  const hash = await passwords.hash('p')
  const missing: string[] = []
  const others = new KeyRing(randomBytes(32))
  const onMissingKey = (keyId: string) => missing.push(keyId)
  const without = new Passwords(others, { onMissingKey })
  await expect(without.verify(hash, 'p')).resolves.toBe(false)
  expect(missing).toEqual([ring.currentKeyId])
  const secret = others.mac('password', 'p')
  expect(verifications()).toEqual([[expect.stringMatching(PHC_OF_TODAY), secret]])
})

test('a hash of an older build, of the password itself, verifies and is to be replaced', async () => {
  const plain = await argon2.hash('p', ARGON2_PARAMETERS)
  await expect(passwords.verify(plain, 'p')).resolves.toBe(true)
  await expect(passwords.verify(plain, 'q')).resolves.toBe(false)
  expect(passwords.needsRehash(plain)).toBe(true)
})

test('a hash of older parameters still verifies', async () => {
  const older = await argon2.hash('p', { ...ARGON2_PARAMETERS, memoryCost: 8_192, timeCost: 3 })
  await expect(passwords.verify(older, 'p')).resolves.toBe(true)
})

test.each([
  { threadPoolSize: 4, cores: 8, atOnce: 2 },
  { threadPoolSize: 16, cores: 8, atOnce: 8 },
  { threadPoolSize: 4, cores: 1, atOnce: 1 },
  { threadPoolSize: 1, cores: 8, atOnce: 1 },
])('$threadPoolSize threads, $cores cores: $atOnce at once', (given) => {
  expect(hashesAtOnce(given.threadPoolSize, given.cores)).toBe(given.atOnce)
})

test('the pool size it is given bounds what it runs', async () => {
  const tight = new Passwords(ring, { threadPoolSize: 3, maxQueued: 1 })
  const both = Promise.all([tight.verify(undefined, 'a'), tight.verify(undefined, 'b')])
  await expect(tight.verify(undefined, 'c')).rejects.toMatchObject({ code: 'overloaded' })
  await both
})
