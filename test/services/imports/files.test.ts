/** Files that are large, broken, or made to do harm. */

import { describe, expect, test } from 'vitest'
import { draftOf, inPieces, readAll, said, sample } from './reading.ts'
import { zipOf } from './zip.ts'

const MIB = 1024 * 1024
const one = (text: string, uuid = text) =>
  JSON.stringify({ uuid, chat_messages: [{ sender: 'human', text }] })
const read = (text: string | Buffer, pieceBytes?: number) =>
  readAll(inPieces(Buffer.from(text), pieceBytes))
const reasons = async (text: string) => {
  const { found } = await read(text)
  return found.map((element) => ('reason' in element ? element.reason : 'read'))
}

describe('JSON', () => {
  test.each([1, 2, 3, 7, 64])('is read the same in pieces of %i bytes', async (bytes) => {
    const whole = await readAll(inPieces(sample('chatgpt.json')))
    const parts = await readAll(inPieces(sample('chatgpt.json'), bytes))
    expect(JSON.stringify(parts)).toBe(JSON.stringify(whole))
  })

  test.each([1, 2, 5])(
    'quotes, backslashes and brackets in texts, in pieces of %i bytes',
    async (bytes) => {
      const texts = ['"', '\\', '\\\\"', ']}', '[{', '\\"', 'é😀\u2028', '\\\\\\']
      const { found } = await read(`[${texts.map((text) => one(text)).join(',')}]`, bytes)
      expect(found.map((element) => said(draftOf(element))[0]?.[1])).toEqual(texts)
    },
  )

  test.each([
    ['a list', `\ufeff [ ${one('a')} ,\n${one('b')} ] \n`],
    ['one value after the other', `${one('a')}\n${one('b')}\n`],
  ])('is %s', async (_, text) => {
    expect(await reasons(text)).toEqual(['read', 'read'])
  })

  test('a list of nothing has no conversations', async () => {
    expect(await reasons(' [ ] ')).toEqual([])
  })

  test.each([
    ['nothing', ''],
    ['blanks', ' \n '],
    ['HTML', '<html></html>'],
    ['plain text', 'hello'],
    ['a number', '1'],
    ['cut within a text', `[${one('a')},{"uuid":"b`],
    ['cut after an element', `[${one('a')}`],
    ['cut after a comma', `[${one('a')},`],
    ['two commas', `[${one('a')},,${one('b')}]`],
    ['a comma too many', `[${one('a')},]`],
    ['no comma', `[${one('a')}${one('b')}]`],
    ['more after its end', `[${one('a')}]${one('b')}`],
    ['UTF-16', Buffer.from(`\ufeff[${one('a')}]`, 'utf16le')],
  ])('%s is refused', async (_, text) => {
    await expect(read(text)).rejects.toMatchObject({ code: 'invalid_input' })
  })

  test('what is broken, deep, long or crowded is skipped, and the rest is read', async () => {
    const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`
    const many = `[${'0,'.repeat(500_001)}0]`
    const long = JSON.stringify('x'.repeat(32 * MIB))
    const list = ['{"a":}', deep, many, long, '1', 'true', '"text"', one('last')]
    expect(await reasons(`[${list.join(',')}]`)).toEqual([
      'malformed',
      'too_deep',
      'too_many_values',
      'too_large',
      'unknown_format',
      'unknown_format',
      'unknown_format',
      'read',
    ])
  })

  test('a million conversations of nothing let other work go on', async () => {
    let turns = 0
    const timer = setInterval(() => {
      turns += 1
    }, 1)
    const { found } = await read(`[${'{},'.repeat(999_999)}{}]`)
    clearInterval(timer)
    expect(found).toHaveLength(1_000_000)
    expect(turns).toBeGreaterThan(10)
  })

  test('more bytes than an import may have are refused as they arrive', async () => {
    let sent = 0
    async function* endless() {
      yield Buffer.from('[')
      for (;;) {
        sent += MIB
        yield Buffer.alloc(MIB, ' ')
      }
    }
    const refused = readAll(endless(), { maxMib: 3 })
    await expect(refused).rejects.toMatchObject({ code: 'request_too_large' })
    expect(sent).toBeLessThanOrEqual(3 * MIB)
  })
})

describe('a zip', () => {
  const conversations = { name: 'conversations.json', content: `[${one('a')}]` }

  test('is read by the names of its files', async () => {
    const others = ['projects.json', 'users.json', 'chat.html'].map((name) => ({
      name,
      content: '1',
    }))
    const { found } = await read(zipOf([...others, conversations]))
    expect(found.map((element) => said(draftOf(element))[0]?.[1])).toEqual(['a'])
  })

  test('its shards are read in order', async () => {
    const shard = (number: string) => ({
      name: `conversations-${number}.json`,
      content: `[${one(number)}]`,
    })
    const { found } = await read(zipOf([shard('001'), shard('000'), shard('002')]))
    expect(found.map((element) => said(draftOf(element))[0]?.[1])).toEqual(['000', '001', '002'])
  })

  test('may be a zip64', async () => {
    const { found } = await read(zipOf([{ ...conversations, isZip64: true }]))
    expect(found).toHaveLength(1)
  })

  test('names that lead elsewhere, and a zip within, are not opened', async () => {
    const names = [
      '../conversations.json',
      '/conversations.json',
      'a/conversations.json',
      'conversations.json.zip',
      'C:\\conversations.json',
      'CONVERSATIONS.JSON',
    ]
    const others = names.map((name) => ({ name, content: zipOf([conversations]) }))
    expect((await read(zipOf([...others, conversations]))).found).toHaveLength(1)
    await expect(read(zipOf(others))).rejects.toMatchObject({
      code: 'invalid_input',
      message: expect.stringContaining('no conversations.json'),
    })
  })

  test.each([
    [
      'a bomb',
      [{ name: 'conversations.json', content: Buffer.alloc(10 * MIB, ' ') }],
      'request_too_large',
    ],
    [
      'a bomb that says it is small',
      [{ name: 'conversations.json', content: Buffer.alloc(10 * MIB, ' '), claimedBytes: 1000 }],
      'invalid_input',
    ],
    [
      'more than 1,000 files',
      Array.from({ length: 1001 }, (_, index) => ({ name: `${index}`, content: '' })),
      'request_too_large',
    ],
    ['an encrypted file', [{ ...conversations, isEncrypted: true }], 'invalid_input'],
    [
      'a zip in the place of the JSON',
      [{ ...conversations, content: zipOf([conversations]) }],
      'invalid_input',
    ],
    ['nothing', [], 'invalid_input'],
  ])('with %s is refused', async (_, entries, code) => {
    await expect(read(zipOf(entries))).rejects.toMatchObject({ code })
  })

  test('that inflates to more than an import may have is refused before it is inflated', async () => {
    const content = Array.from({ length: 2 * MIB }, (_, index) =>
      String.fromCharCode(32 + ((index * index) % 90)),
    ).join('')
    const zip = zipOf([{ name: 'conversations.json', content }])
    await expect(readAll(inPieces(zip), { maxMib: 1 })).rejects.toMatchObject({
      code: 'request_too_large',
    })
  })

  test('that is cut off or damaged is refused', async () => {
    const zip = zipOf([conversations])
    const damaged = Buffer.from(zip).fill(0xff, 50, 70)
    for (const bytes of [zip.subarray(0, 40), damaged])
      await expect(read(bytes)).rejects.toMatchObject({ code: 'invalid_input' })
  })

  test('of more than 64 MiB is refused with the way to go on', async () => {
    async function* large() {
      yield Buffer.from('PK\x03\x04', 'latin1')
      for (;;) yield Buffer.alloc(MIB)
    }
    await expect(readAll(large())).rejects.toMatchObject({
      code: 'request_too_large',
      message: expect.stringContaining('Unpack it'),
    })
  })
})
