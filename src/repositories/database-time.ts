import { sql } from 'kysely'

/**
 * As far from now as `time` is by this process's clock, by the database's own: it is the database
 * that says later whether that time is over, and the clocks of replicas may be minutes beside it.
 * Its now is when the statement arrives: that of a transaction, `now()`, is before ours by what the
 * transaction has taken so far.
 */
export const byDatabaseClock = (time: Date) =>
  sql<Date>`statement_timestamp() + make_interval(secs => ${(time.getTime() - Date.now()) / 1000})`
