/** Times of other services, which may be missing or absurd. */

/** No conversation with a model is older. */
const EARLIEST_MS = Date.UTC(2015, 0, 1)

/** Clocks differ, and some files have the time of a place as if it were UTC. */
const AHEAD_MS = 86_400_000

/** A time in ISO 8601, or in seconds since 1970; undefined unless it is a plausible one. */
export function timeOf(value: unknown, now: Date): Date | undefined {
  const ms =
    typeof value === 'number' ? value * 1000 : Date.parse(typeof value === 'string' ? value : '')
  return ms >= EARLIEST_MS && ms <= now.getTime() + AHEAD_MS ? new Date(ms) : undefined
}

/** Times never go back within a conversation. */
export const laterOf = (time: Date, next: Date | undefined): Date =>
  next !== undefined && next > time ? next : time
