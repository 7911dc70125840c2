import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { openDatabase } from '../../../src/database/open.ts'
import { byteRows, inPlaces, jsonRows } from '../../../src/database/statements/json-rows.ts'
import { prepare } from '../../../src/database/statements/prepared.ts'
import { describeDatabases, freshDatabaseOptions } from '../../support/databases.ts'

const COLUMNS = {
  someText: 'text',
  someBytes: 'bytea',
  large: 'bigint',
  isTrue: 'boolean',
  day: 'date',
  details: 'jsonb',
}

type Row = { [Name in keyof typeof COLUMNS]: unknown } & { place: number }

const { as, toJson } = jsonRows(COLUMNS)
const readRows = prepare<{ rows: string }, Row>(
  'read_rows',
  (value) => `select * from ${as('r', value('rows', 'json'))} order by place`,
)

const TWO = { before: 'bytea', text: 'text', after: 'bytea' }
const { as: asTwo, toValues } = byteRows(TWO)
const readBytes = prepare<{ rows: string; bytes: Buffer }, Record<string, unknown>>(
  'read_bytes',
  (value) => `
  select place, before, text, after
  from ${asTwo('r', value('rows', 'json'), value('bytes', 'bytea'))} order by place`,
)

describeDatabases('rows with bytes beside them', (kind) => {
  test('arrive as they were sent, each with its own', async () => {
    const fresh = await freshDatabaseOptions(kind)
    const database = await openDatabase(fresh)
    const rows = [
      { before: randomBytes(70_000), text: 'first', after: Buffer.from([0, 255]) },
      { before: null, text: null, after: Buffer.alloc(0) },
      { before: Buffer.from([92, 120]), text: '\\x41', after: null },
      { before: null, text: 'last', after: randomBytes(5) },
    ]
    const read = await readBytes(database.db, toValues(rows))
    const none = await readBytes(database.db, toValues([]))
    await database.close()
    await fresh.drop()
    const seen = read.map(({ before, after, ...row }) => ({
      ...row,
      before: toBuffer(before),
      after: toBuffer(after),
    }))
    expect(seen).toEqual(rows.map((row, place) => ({ place, ...row })))
    expect(none).toEqual([])
  })
})

describeDatabases('rows as one value', (kind) => {
  test('arrive as they were sent', async () => {
    const fresh = await freshDatabaseOptions(kind)
    const database = await openDatabase(fresh)
    const rows = [
      {
        someText: 'a \\ "quoted" \n \\x41 ä 𝄞',
        someBytes: Buffer.from([0, 1, 92, 120, 255]),
        large: '9223372036854775807',
        isTrue: true,
        day: '2026-11-22',
        details: { list: [1, 'two'], none: null },
      },
      {
        someText: '',
        someBytes: Buffer.alloc(0),
        large: '-1',
        isTrue: false,
        day: '0001-01-01',
        details: {},
      },
      {
        someText: null,
        someBytes: null,
        large: null,
        isTrue: null,
        day: null,
        details: null,
      },
    ]
    const none = rows[2] as (typeof rows)[number]
    const sent = [...rows, { ...none, someText: 'half a pair: \ud834!' }]
    const read = await readRows(database.db, { rows: toJson(sent) })
    await database.close()
    await fresh.drop()
    expect(read.map((row) => ({ ...row, someBytes: toBuffer(row.someBytes) }))).toEqual(
      [...rows, { ...none, someText: 'half a pair: \ufffd!' }].map((row, place) => ({
        place,
        ...row,
      })),
    )
  })
})

describeDatabases('what PostgreSQL does not store', (kind) => {
  test('is replaced, in text and in JSON however deep', async () => {
    const fresh = await freshDatabaseOptions(kind)
    const database = await openDatabase(fresh)
    const none = { someBytes: null, large: null, isTrue: null, day: null }
    const row = {
      ...none,
      someText: 'a\0b\ud800c',
      details: { 'n\0': ['x\0', { y: '\udc00', z: [null, 1, true] }] },
    }
    const [read] = await readRows(database.db, { rows: toJson([row]) })
    await database.close()
    await fresh.drop()
    expect(read).toMatchObject({
      someText: 'a\ufffdb\ufffdc',
      details: { 'n\ufffd': ['x\ufffd', { y: '\ufffd', z: [null, 1, true] }] },
    })
  })
})

/** The drivers differ in what they make of a bytea. */
const toBuffer = (bytes: unknown) => bytes && Buffer.from(bytes as Uint8Array)

test('what came of them is in their order, and what did not is undefined', () => {
  const rows = [
    { place: 2, text: 'c' },
    { place: 0, text: 'a' },
  ]
  expect(inPlaces(['x', 'y', 'z'], rows)).toEqual([rows[1], undefined, rows[0]])
})
