import { createCipheriv, createHash, randomBytes } from 'node:crypto'
import { inspect } from 'node:util'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Binding, DataKey, KeyRing } from '../../src/crypto/sealed.ts'

const HERE: Binding = { table: 'messages', column: 'content', row: 'm1', owner: 'u1' }
const DOES_NOT_OPEN = /^A sealed value does not open/

/** Text as a database can hold it: no lone surrogates. */
const text = fc.string({ unit: 'binary' })
const bytes = fc.uint8Array({ maxLength: 2_000 })
const binding = fc.record({ table: text, column: text, row: text, owner: text })

/** Everything that can seal and open a value. */
const openers = [
  ['DataKey', () => DataKey.generate()],
  ['KeyRing', () => new KeyRing(randomBytes(32))],
] as const

function flipped(sealed: Buffer, bit: number): Buffer {
  const copy = Buffer.from(sealed)
  const at = Math.floor(bit / 8)
  copy.writeUInt8(copy.readUInt8(at) ^ (1 << (bit % 8)), at)
  return copy
}

describe.each(openers)('%s', (_name, make) => {
  test('opens what it sealed, bytes and text', () => {
    const key = make()
    fc.assert(
      fc.property(bytes, text, binding, (plain, words, where) => {
        expect(key.open(key.seal(plain, where), where)).toEqual(Buffer.from(plain))
        expect(key.openText(key.seal(words, where), where)).toBe(words)
      }),
    )
  })

  test('opens nothing in which any bit was changed', () => {
    const key = make()
    const sealed = key.seal('sk-ant-secret', HERE)
    for (let bit = 0; bit < sealed.length * 8; bit++) {
      expect(() => key.open(flipped(sealed, bit), HERE), `bit ${bit}`).toThrow()
    }
  })

  test('opens nothing cut short or lengthened', () => {
    const key = make()
    const sealed = key.seal('sk-ant-secret', HERE)
    for (let length = 0; length < sealed.length; length++) {
      expect(() => key.open(sealed.subarray(0, length), HERE)).toThrow(DOES_NOT_OPEN)
    }
    expect(() => key.open(Buffer.concat([sealed, Buffer.of(0)]), HERE)).toThrow(DOES_NOT_OPEN)
  })

  test('opens nothing for another binding', () => {
    const key = make()
    fc.assert(
      fc.property(binding, binding, (where, elsewhere) => {
        fc.pre(JSON.stringify(where) !== JSON.stringify(elsewhere))
        const sealed = key.seal('x', where)
        expect(() => key.open(sealed, elsewhere)).toThrow(DOES_NOT_OPEN)
      }),
    )
  })

  test.each([
    { ...HERE, table: 'conversations' },
    { ...HERE, column: 'title' },
    { ...HERE, row: 'm2' },
    { ...HERE, owner: 'u2' },
    { ...HERE, table: 'messagesc', column: 'ontent' },
    { ...HERE, row: 'm1u', owner: '1' },
    { ...HERE, row: '', owner: 'm1u1' },
  ])('opens nothing moved to $table.$column of $row, $owner', (elsewhere) => {
    const key = make()
    expect(() => key.open(key.seal('x', HERE), elsewhere)).toThrow(DOES_NOT_OPEN)
  })

  test('opens a plain Uint8Array that is a view into a larger one', () => {
    const key = make()
    const sealed = key.seal('hello', HERE)
    const larger = new Uint8Array(sealed.length + 20)
    larger.set(sealed, 7)
    expect(key.openText(larger.subarray(7, 7 + sealed.length), HERE)).toBe('hello')
  })

  test('seals the same text differently each time, 37 bytes longer', () => {
    const key = make()
    const sealed = Array.from({ length: 1_000 }, () => key.seal('same', HERE))
    expect(new Set(sealed.map((each) => each.toString('hex'))).size).toBe(1_000)
    expect(new Set(sealed.map((each) => each.toString('hex', 9, 21))).size).toBe(1_000)
    expect(sealed[0]).toHaveLength('same'.length + 37)
  })

  test('two keys do not open each other’s values', () => {
    const sealed = make().seal('x', HERE)
    expect(() => make().open(sealed, HERE)).toThrow()
  })
})

describe('the layout', () => {
  test('is version, key id, nonce, ciphertext, tag, as documented', () => {
    const key = randomBytes(32)
    const id = createHash('sha256').update('claude-api-gateway key id\0').update(key).digest()
    const header = Buffer.concat([Buffer.of(1), id.subarray(0, 8)])
    const nonce = randomBytes(12)
    const cipher = createCipheriv('aes-256-gcm', key, nonce)
    const fields = ['value', HERE.table, HERE.column, HERE.row, HERE.owner].flatMap((field) => [
      Buffer.of(0, 0, 0, field.length),
      Buffer.from(field),
    ])
    cipher.setAAD(Buffer.concat([header, ...fields]))
    const ciphertext = Buffer.concat([cipher.update('by hand'), cipher.final()])
    const sealed = Buffer.concat([header, nonce, ciphertext, cipher.getAuthTag()])

    const ring = new KeyRing(key)
    expect(ring.openText(sealed, HERE)).toBe('by hand')
    expect(ring.currentKeyId).toBe(id.toString('hex', 0, 8))
    expect(ring.seal('x', HERE).subarray(0, 9)).toEqual(header)
  })

  test('a later version is refused, not misread', () => {
    const ring = new KeyRing(randomBytes(32))
    const sealed = ring.seal('x', HERE)
    sealed.writeUInt8(2, 0)
    expect(() => ring.open(sealed, HERE)).toThrow(DOES_NOT_OPEN)
    expect(() => ring.needsRewrap(sealed)).toThrow(DOES_NOT_OPEN)
  })
})

describe('data keys', () => {
  const where: Binding = { table: 'users', column: 'data_key', row: 'u1', owner: 'u1' }

  test('survive wrapping', () => {
    const ring = new KeyRing(randomBytes(32))
    const key = DataKey.generate()
    const unwrapped = ring.unwrap(ring.wrap(key, where), where)
    expect(unwrapped.openText(key.seal('hello', HERE), HERE)).toBe('hello')
    expect(unwrapped.mac('email', 'a@b')).toEqual(key.mac('email', 'a@b'))
  })

  test('do not unwrap for another owner, when damaged or when cut short', () => {
    const ring = new KeyRing(randomBytes(32))
    const wrapped = ring.wrap(DataKey.generate(), where)
    expect(() => ring.unwrap(wrapped, { ...where, owner: 'u2' })).toThrow(DOES_NOT_OPEN)
    expect(() => ring.unwrap(flipped(wrapped, 8 * 30), where)).toThrow(DOES_NOT_OPEN)
    expect(() => ring.unwrap(wrapped.subarray(0, -1), where)).toThrow(DOES_NOT_OPEN)
    expect(() => ring.unwrap(Buffer.alloc(0), where)).toThrow(DOES_NOT_OPEN)
  })

  test('do not open as values, nor values as data keys', () => {
    const ring = new KeyRing(randomBytes(32))
    expect(() => ring.open(ring.wrap(DataKey.generate(), where), where)).toThrow(DOES_NOT_OPEN)
    expect(() => ring.unwrap(ring.seal(randomBytes(32), where), where)).toThrow(DOES_NOT_OPEN)
  })

  test('a value of one conversation does not open under the key of another', () => {
    const sealed = DataKey.generate().seal('x', HERE)
    expect(() => DataKey.generate().open(sealed, HERE)).toThrow(DOES_NOT_OPEN)
  })

  test('macs depend on the key, the label and the data, and on nothing else', () => {
    const key = DataKey.generate()
    expect(key.mac('email', 'a')).toEqual(key.mac('email', 'a'))
    expect(key.mac('email', 'a')).toHaveLength(32)
    expect(key.mac('email', 'a')).not.toEqual(key.mac('email', 'b'))
    expect(key.mac('email', 'a')).not.toEqual(key.mac('name', 'a'))
    expect(key.mac('email', 'a')).not.toEqual(DataKey.generate().mac('email', 'a'))
    expect(key.mac('ab', 'c')).not.toEqual(key.mac('a', 'bc'))
  })
})

describe('rotation', () => {
  const where: Binding = { table: 'users', column: 'data_key', row: 'u1', owner: 'u1' }
  const [oldKey, newKey] = [randomBytes(32), randomBytes(32)]
  const before = new KeyRing(oldKey)
  const after = new KeyRing(newKey, [oldKey])

  test('the old key still opens, the new one seals', () => {
    const key = DataKey.generate()
    const wrapped = before.wrap(key, where)
    expect(after.openText(before.seal('x', HERE), HERE)).toBe('x')
    expect(before.needsRewrap(wrapped)).toBe(false)
    expect(after.needsRewrap(wrapped)).toBe(true)

    const rewrapped = after.rewrap(wrapped, where)
    expect(after.needsRewrap(rewrapped)).toBe(false)
    const alone = new KeyRing(newKey).unwrap(rewrapped, where)
    expect(alone.openText(key.seal('hello', HERE), HERE)).toBe('hello')
  })

  test('a missing key is named, with what to do', () => {
    const missing = new RegExp(`${before.currentKeyId}.*ENCRYPTION_KEYS_PREVIOUS`)
    const ring = new KeyRing(newKey)
    expect(() => ring.open(before.seal('x', HERE), HERE)).toThrow(missing)
    expect(() => ring.unwrap(before.wrap(DataKey.generate(), where), where)).toThrow(missing)
  })

  test('the same key twice, and several old ones, do no harm', () => {
    const ring = new KeyRing(newKey, [newKey, oldKey, randomBytes(32)])
    expect(ring.currentKeyId).toBe(after.currentKeyId)
    expect(ring.openText(before.seal('x', HERE), HERE)).toBe('x')
  })

  test.each([0, 16, 31, 33, 64])('a key of %i bytes is refused', (length) => {
    expect(() => new KeyRing(randomBytes(length))).toThrow('exactly 32 bytes')
    expect(() => new KeyRing(newKey, [randomBytes(length)])).toThrow('exactly 32 bytes')
  })
})

describe('nothing prints a key', () => {
  const raw = randomBytes(32)
  const previous = randomBytes(32)
  const where: Binding = { table: 't', column: 'c', row: 'r', owner: 'o' }
  const ring = new KeyRing(raw, [previous])
  const key = ring.unwrap(ring.wrap(DataKey.generate(), where), where)
  const ways: [string, (value: unknown) => string][] = [
    ['JSON.stringify', (value) => JSON.stringify({ value })],
    ['inspect', (value) => inspect(value, { depth: null, showHidden: true })],
    ['inspect without customs', (value) => inspect(value, { customInspect: false, depth: null })],
    ['own keys', (value) => JSON.stringify(Object.entries(value as object))],
    ['String', (value) => String(value)],
  ]

  test.each(ways)('%s', (_way, print) => {
    const printed = print([ring, key]) + print(ring) + print(key)
    for (const secret of [raw, previous]) {
      for (const encoding of ['hex', 'base64', 'base64url', 'latin1'] as const) {
        expect(printed).not.toContain(secret.toString(encoding))
      }
      expect(printed).not.toContain([...secret.subarray(0, 4)].join(','))
      expect(printed).not.toContain(secret.toString('hex', 0, 4).replace(/..(?!$)/g, '$& '))
    }
    expect(printed).not.toMatch(/<Buffer|Uint8Array|"data":/)
  })

  test('what is printed instead names the key', () => {
    expect(inspect(ring)).toContain(ring.currentKeyId)
    expect(JSON.stringify(key)).toMatch(/^"DataKey\([0-9a-f]{16}\)"$/)
  })

  test('errors hold neither key nor plaintext', () => {
    const sealed = ring.seal('sk-ant-secret', where)
    const errors = [() => ring.open(sealed, HERE), () => new KeyRing(previous).open(sealed, where)]
    for (const open of errors) {
      const printed = inspect(catching(open), { depth: null, showHidden: true })
      expect(printed).toContain('Error')
      expect(printed).not.toContain('sk-ant-secret')
      expect(printed).not.toContain(raw.toString('hex'))
      expect(printed).not.toContain('<Buffer')
    }
  })
})

function catching(work: () => unknown): unknown {
  try {
    return work()
  } catch (thrown) {
    return thrown
  }
}
