import { expect, test } from 'vitest'
import { openDatabase } from '../../src/database/open.ts'
import { prepare } from '../../src/database/prepared.ts'
import { recordset } from '../../src/database/recordset.ts'
import { describeDatabases, freshDatabaseOptions } from '../support/databases.ts'

const COLUMNS = {
  place: 'integer',
  someText: 'text',
  someBytes: 'bytea',
  large: 'bigint',
  isTrue: 'boolean',
  day: 'date',
  details: 'jsonb',
}

type Row = { [Name in keyof typeof COLUMNS]: unknown }

const { as, toJson } = recordset(COLUMNS)
const readRows = prepare<{ rows: string }, Row>(
  'read_rows',
  (value) => `select * from ${as('r', value('rows', 'json'))} order by place`,
)

describeDatabases('rows as one value', (kind) => {
  test('arrive as they were sent', async () => {
    const fresh = await freshDatabaseOptions(kind)
    const database = await openDatabase(fresh)
    const rows = [
      {
        place: 0,
        someText: 'a \\ "quoted" \n \\x41 ä 𝄞',
        someBytes: Buffer.from([0, 1, 92, 120, 255]),
        large: '9223372036854775807',
        isTrue: true,
        day: '2026-11-22',
        details: { list: [1, 'two'], none: null },
      },
      {
        place: 1,
        someText: '',
        someBytes: Buffer.alloc(0),
        large: '-1',
        isTrue: false,
        day: '0001-01-01',
        details: {},
      },
      {
        place: 2,
        someText: null,
        someBytes: null,
        large: null,
        isTrue: null,
        day: null,
        details: null,
      },
    ]
    const sent = [...rows, { ...rows[2], place: 3, someText: 'half a pair: \ud834!' }]
    const read = await readRows(database.db, { rows: toJson(sent as typeof rows) })
    await database.close()
    await fresh.drop()
    const some = (row: object) => ({ ...rows[2], ...row })
    expect(read.map((row) => ({ ...row, someBytes: toBuffer(row.someBytes) }))).toEqual([
      ...rows,
      some({ place: 3, someText: 'half a pair: \ufffd!' }),
    ])
  })
})

/** The drivers differ in what they make of a bytea. */
const toBuffer = (bytes: unknown) => bytes && Buffer.from(bytes as Uint8Array)
