/**
 * Finds answers whose lease is no longer renewed, by this process's own clock. The database's clock
 * may jump by minutes, which would make every lease look expired, or none.
 */

type Lease = { id: string; lease: string }
type Seen = { lease: string; since: number }

export class LeaseWatch {
  readonly #leaseMs: number
  #seen = new Map<string, Seen>()
  #lookedAt = Number.NEGATIVE_INFINITY

  constructor(leaseSeconds: number) {
    this.#leaseMs = leaseSeconds * 1000
  }

  /**
   * A longer pause than a lease between two calls restarts the watch: this process may have been
   * suspended together with those it watches, so every lease gets its full time again.
   *
   * @param leases of all running answers.
   * @param now milliseconds of a monotonic clock.
   * @returns ids of the answers whose lease was not renewed for the length of a lease.
   */
  look(leases: readonly Lease[], now = performance.now()): string[] {
    const isSteady = now - this.#lookedAt < this.#leaseMs
    const before = isSteady ? this.#seen : new Map<string, Seen>()
    this.#lookedAt = now
    this.#seen = new Map(
      leases.map(({ id, lease }) => {
        const known = before.get(id)
        return [id, known?.lease === lease ? known : { lease, since: now }]
      }),
    )
    return leases.flatMap(({ id }) => (this.#unchangedMs(id, now) >= this.#leaseMs ? [id] : []))
  }

  /** Restarts the watch of these answers, whose leases could not have been renewed. */
  forget(ids: Iterable<string>): void {
    for (const id of ids) this.#seen.delete(id)
  }

  /** The same for all. */
  forgetAll(): void {
    this.#seen.clear()
  }

  #unchangedMs(id: string, now: number): number {
    return now - (this.#seen.get(id)?.since ?? now)
  }
}
