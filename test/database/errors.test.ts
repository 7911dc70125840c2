/** What the database's errors mean: the same for both databases, and what is done about them. */

import { randomBytes, randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import { expect, test } from 'vitest'
import { AppError } from '../../src/errors.ts'
import { createRepositories, createTransact } from '../../src/repositories/index.ts'
import { describeDatabases } from '../support/databases.ts'
import { ownDatabase } from '../support/own-database.ts'

const LATER = [
  '08006',
  '25006',
  '25P03',
  '40001',
  '40003',
  '40P01',
  '53100',
  '53200',
  '53300',
  '55P03',
  '57014',
  '57P01',
  '57P03',
  '58000',
  '58030',
]

describeDatabases('an error of the database', (kind) => {
  const database = ownDatabase(kind)

  /** Raised by the server itself. */
  const raise = (state: string) =>
    sql
      .raw(`do $$ begin raise exception using errcode = '${state}', message = 'no'; end $$`)
      .execute(database.db)

  test.each(LATER)('%s is for later', async (state) => {
    const error = await raise(state).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(AppError)
    expect(error).toMatchObject({
      code: 'database_unavailable',
      retryable: true,
      retryAfterSeconds: expect.any(Number),
      cause: { code: state },
      message: expect.stringContaining(state),
    })
    expect((await sql`select 1 as one`.execute(database.db)).rows).toEqual([{ one: 1 }])
  })

  test.each(['22012', '22P02', '23505', '23514', '42P01', 'P0001', 'XX000'])(
    "%s is the statement's own",
    async (state) => {
      await expect(raise(state)).rejects.toMatchObject({ code: state })
    },
  )

  test('a row that names one which is gone is not_found', async () => {
    await expect(raise('23503')).rejects.toMatchObject({ code: 'not_found', retryable: false })
  })

  test('in a transaction it takes back all of it, and reaches whoever began it', async () => {
    await sql.raw('create table kept (n int)').execute(database.db)
    const work = database.db.transaction().execute(async (tx) => {
      await sql`insert into kept values (1)`.execute(tx)
      await sql.raw("do $$ begin raise exception using errcode = '53100'; end $$").execute(tx)
    })
    await expect(work).rejects.toMatchObject({ code: 'database_unavailable' })
    expect((await sql`select n from kept`.execute(database.db)).rows).toEqual([])
  })

  /** The next so many inserts are undone: a sequence is what remembers how many were. */
  const undoNext = (times: number, state: string) =>
    sql
      .raw(
        `drop sequence if exists tries; create sequence tries;
        create or replace function undo() returns trigger language plpgsql as $$ begin
          if nextval('tries') <= ${times} then raise exception using errcode = '${state}'; end if;
          return new;
        end $$;
        create or replace trigger undo before insert on heartbeats for each row execute function undo();
        create or replace trigger undo before insert on oauth_records for each row execute function undo()`,
      )
      .execute(database.db)
  const hasBeaten = async (id: string) => {
    const { rows } = await sql`select from heartbeats where replica_id = ${id}`.execute(database.db)
    return rows.length === 1
  }

  test.each(['40001', '40P01'])('a transaction that %s undid is done again', async (state) => {
    const transact = createTransact(database.db)
    await undoNext(3, state)
    const record = () => ({
      model: 'Client',
      key: randomBytes(32),
      sealed: randomBytes(32),
      expiresAt: new Date(Date.now() + 60_000),
    })
    const kept = record()
    let runs = 0
    await transact(async ({ oauthRecords }) => {
      runs += 1
      await oauthRecords.put(kept)
    })
    expect(runs).toBe(4)
    const { oauthRecords } = createRepositories(database.db)
    expect(await oauthRecords.find('Client', kept)).toMatchObject({ key: kept.key })
    await undoNext(1000, state)
    const never = transact(({ oauthRecords: records }) => records.put(record()))
    await expect(never).rejects.toMatchObject({ code: 'database_unavailable', retryable: true })
  })

  // The embedded database has one connection, and no two writers.
  if (kind === 'embedded') return

  test.each(['40001', '40P01'])('a statement that %s undid is done again', async (state) => {
    const { heartbeats } = createRepositories(database.db)
    await undoNext(3, state)
    const id = randomUUID()
    await heartbeats.beat(id)
    expect(await hasBeaten(id)).toBe(true)
    await undoNext(1000, state)
    await expect(heartbeats.beat(randomUUID())).rejects.toMatchObject({ retryable: true })
  })
})
