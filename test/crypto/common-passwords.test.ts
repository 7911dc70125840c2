import { expect, test, vi } from 'vitest'
import { guessable } from '../../src/crypto/common-passwords.ts'
import { MAX_PASSWORD_LENGTH } from '../../src/crypto/passwords.ts'
import { generatePassword } from '../../src/crypto/random.ts'

const names = ['ada-lovelace', 'countess@example.com']

test.each([
  'password1234',
  'Password1234',
  'P@ssw0rd1234!',
  'passwordpassword',
  '123456789012',
  'qwertyuiop123',
  'zxcvbnm,./12',
  '1q2w3e4r5t6y',
  'iloveyou1234',
  'letmein12345',
  'aaaaaaaaaaaa',
  'abcdefghijkl',
  'football2026',
  'administrator',
  'changeme1234',
  'claude-gateway',
  'gateway12345',
  'drowssap4321',
])('%s is guessed first', async (password) => {
  expect(await guessable(password, names)).toBe('common')
})

test.each(['ada-lovelace-1', 'Lovelace.Ada', 'adalovelace1', 'countess2026', 'ecalevol-ada'])(
  '%s is made of names that its user has',
  async (password) => {
    expect(await guessable(password, names)).toBe('own-name')
    expect(await guessable(password, ['someone-else'])).not.toBe('own-name')
  },
)

test.each([
  'another good password',
  'purple elephant 7 dance',
  'tr0ub4dor&3xyz',
  'Ein Apfel im Regen',
  'пароль из четырёх слов',
])('%s is as good as another', async (password) => {
  expect(await guessable(password, names)).toBeUndefined()
})

test('what the gateway makes itself is always good', async () => {
  for (let i = 0; i < 200; i++) {
    expect(await guessable(generatePassword(), names)).toBeUndefined()
  }
})

test('of a long password no more is looked at than of a short one', async () => {
  const { ZxcvbnFactory } = await import('@zxcvbn-ts/core')
  const check = vi.spyOn(ZxcvbnFactory.prototype, 'check')
  await guessable('5s2$z'.repeat(MAX_PASSWORD_LENGTH).slice(0, MAX_PASSWORD_LENGTH), names)
  // Whether it is one letter or not once it is normalized: this one becomes eighteen.
  await guessable('\ufdfa'.repeat(MAX_PASSWORD_LENGTH), names)
  expect(check.mock.calls.map(([judged]) => judged.length)).toEqual([32, 32])
})
