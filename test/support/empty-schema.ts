/** Takes a fresh database back to before its first migration. */

import { type Kysely, sql } from 'kysely'

export async function emptySchema<S>(db: Kysely<S>): Promise<void> {
  await sql`drop schema public cascade`.execute(db)
  await sql`create schema public`.execute(db)
}
