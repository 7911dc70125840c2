import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseEncryptionKey } from '../../src/config/encryption-key.ts'

const key = Buffer.from('fb2dffbe5cf5d4a1f3e20b9966d0e7a8b1c3d5f7091b2d3f4e5f60718293a4ff', 'hex')

test.each([
  ['base64, as openssl writes it', key.toString('base64')],
  ['base64url with =, as Fernet writes it', `${key.toString('base64url')}=`],
  ['base64 without =', key.toString('base64').slice(0, 43)],
  ['base64url without =', key.toString('base64url')],
  ['hex', key.toString('hex')],
  ['HEX', key.toString('hex').toUpperCase()],
  ['spaces and a newline around it', `  ${key.toString('base64')}\n`],
])('reads %s', (_name, text) => {
  expect(parseEncryptionKey(text)).toEqual(key)
})

test('base64 and base64url of this key differ, so both are really read', () => {
  expect(key.toString('base64')).toMatch(/[+/]/)
  expect(key.toString('base64url')).toMatch(/[-_]/)
})

test('reads every random key in every form', () => {
  fc.assert(
    fc.property(fc.noShrink(fc.constant(undefined).map(() => randomBytes(32))), (bytes) => {
      for (const form of ['base64', 'base64url', 'hex'] as const) {
        expect(parseEncryptionKey(bytes.toString(form))).toEqual(bytes)
      }
    }),
  )
})

test.each([
  ['nothing', ''],
  ['blanks', '   '],
  ['31 bytes', key.subarray(1).toString('base64')],
  ['33 bytes', Buffer.concat([key, key.subarray(0, 1)]).toString('base64')],
  ['31 bytes of hex', key.toString('hex').slice(2)],
  ['a mix of both base64 alphabets', `+_${key.toString('base64').slice(2).replaceAll('/', '+')}`],
  ['two padding characters', `${key.toString('base64')}=`],
  ['bits beyond 32 bytes', `${key.toString('base64').slice(0, 42)}9=`],
  ['quotes', `"${key.toString('base64')}"`],
  ['a space inside', `${key.toString('hex').slice(0, 32)} ${key.toString('hex').slice(32)}`],
  ['32 characters of text', 'correct horse battery staple 123'],
  ['not hex', `${key.toString('hex').slice(0, 63)}g`],
])('refuses %s, saying what is accepted, without the value', (_name, text) => {
  const message = messageOf(text)
  expect(message).toMatch(/32 random bytes.*base64.*base64url.*hex.*openssl rand -base64 32/)
  if (text.trim()) expect(message).not.toContain(text.trim().slice(0, 12))
})

test('refuses the placeholder of the documentation by name', () => {
  expect(messageOf('your-32-byte-encryption-key')).toMatch(/placeholder.*openssl rand -base64 32/)
})

test.each([
  ['zeros', Buffer.alloc(32)],
  ['one byte over and over', Buffer.alloc(32, 0xab)],
  ['a short word repeated', Buffer.alloc(32, 'changeme')],
  ['0123456789abcdef repeated', Buffer.from('0123456789abcdef'.repeat(4), 'hex')],
  ['counting up', Buffer.from(Array.from({ length: 32 }, (_, i) => i))],
  ['counting down', Buffer.from(Array.from({ length: 32 }, (_, i) => 255 - i))],
])('refuses a key that is %s', (_name, weak) => {
  for (const form of ['base64', 'hex'] as const) {
    const message = messageOf(weak.toString(form))
    expect(message).toMatch(/pattern.*openssl rand -base64 32/)
    expect(message).not.toContain(weak.toString(form))
  }
})

function messageOf(text: string): string {
  try {
    parseEncryptionKey(text)
  } catch (thrown) {
    if (thrown instanceof Error) return thrown.message
  }
  throw new Error('was accepted')
}
