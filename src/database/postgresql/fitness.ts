/** What a database must satisfy before anything is created in it. */

import { type Kysely, sql } from 'kysely'
import { cannotConnect } from './connect-errors.ts'

const OLDEST_POSTGRESQL = 14

type Facts = {
  name: string
  version: number
  encoding: string
  /** Where tables are created; null when the search path has no schema. */
  schema: string | null
  searchPath: string
  mayCreate: boolean
  /** Owner of the tables; null when there are none. */
  owner: string | null
  mayRead: boolean
}

/** @throws AppError database_unavailable, not retryable, that says what to change. */
export async function refuseUnfit<S>(db: Kysely<S>): Promise<void> {
  const { rows } = await sql<Facts>`
    select current_database() as name,
      current_setting('server_version_num')::int as version,
      current_setting('server_encoding') as encoding,
      current_schema() as schema,
      current_setting('search_path') as search_path,
      coalesce(has_schema_privilege(current_schema(), 'create'), false) as may_create,
      (select pg_get_userbyid(relowner) from pg_class
        where oid = to_regclass('schema_migrations')) as owner,
      coalesce(has_table_privilege(to_regclass('schema_migrations'), 'select'), true)
        as may_read`.execute(db)
  const problem = rows[0] && problemOf(rows[0])
  if (problem !== undefined) throw cannotConnect(problem)
}

function problemOf(facts: Facts): string | undefined {
  const { name, version, encoding, schema, searchPath, mayCreate, owner, mayRead } = facts
  const major = Math.floor(version / 10_000)
  if (major < OLDEST_POSTGRESQL) {
    return `The server is PostgreSQL ${major}; the gateway needs ${OLDEST_POSTGRESQL} or newer.`
  }
  if (encoding !== 'UTF8') {
    return `The database ${name} stores text as ${encoding}, which cannot hold every character. Make one in UTF8 (create database ${name}_utf8 encoding 'UTF8' template template0) and name it here.`
  }
  if (schema === null) {
    return `The database ${name} has no schema to use: search_path is ${searchPath}, and nothing of it is there, or for this user. Create it (create schema ... authorization ...), or correct schema= or the role's search_path.`
  }
  if (!mayCreate && owner === null) {
    return `The user may not create tables in the schema ${schema} of ${name}: grant create on schema ${schema} to it, or make it the owner of the database.`
  }
  if (!mayRead) {
    return `The gateway's tables in the schema ${schema} of ${name} belong to ${owner}, and the user may not read them. Connect as ${owner}, or name another database or user.`
  }
  return undefined
}
