import { sql } from 'kysely'

/**
 * Converts a time of this process's clock to the database's, by its distance from now: the database
 * decides later whether the time is over, and replicas' clocks may be minutes off. Uses the
 * statement's timestamp, since `now()` is the start of the transaction, and so earlier by its
 * duration so far.
 */
export const byDatabaseClock = (time: Date) =>
  sql<Date>`statement_timestamp() + make_interval(secs => ${(time.getTime() - Date.now()) / 1000})`
