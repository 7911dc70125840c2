/** What can befall a PostgreSQL that stays where it is. Each is over when the function returns. */

import { Client } from 'pg'
import { runSql } from '../support/database-supplies.ts'

const READ_ONLY = 'default_transaction_read_only'

type During = () => Promise<unknown>

/** As a primary that was demoted, or a managed server out of space. */
export async function readOnly(url: string, during: During): Promise<void> {
  await inAllSessions(url, `set ${READ_ONLY} = on`)
  try {
    await during()
  } finally {
    await inAllSessions(url, `reset ${READ_ONLY}`)
  }
}

/**
 * Behind one address: connections there are stay with the server that was demoted, and new ones
 * reach the one that was promoted. A setting of the database counts for new sessions alone.
 */
export async function failedOver(url: string, during: During): Promise<void> {
  await runSql(url, `alter database postgres set ${READ_ONLY} = off`)
  try {
    await readOnly(url, during)
  } finally {
    await runSql(url, `alter database postgres reset ${READ_ONLY}`)
  }
}

/** By somebody who has begun to change them, and is thinking. */
export async function rowsLocked(url: string, text: string, during: During): Promise<void> {
  const holder = new Client({ connectionString: url })
  await holder.connect()
  try {
    await holder.query(`begin; ${text}`)
    await during()
  } finally {
    await holder.end()
  }
}

async function inAllSessions(url: string, change: string): Promise<void> {
  await runSql(url, `alter system ${change}`)
  await runSql(url, 'select pg_reload_conf()')
}
