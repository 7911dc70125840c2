/**
 * Which answers are nobody's any more, by the clock of whoever looks. The database's clock may be set
 * forward or back by minutes, and then says of every lease that it is over, or of none.
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
   * Between two looks no more than a lease may pass: whoever was away for so long, or stood still
   * together with those it watches, gives them the time of a lease anew.
   *
   * @param leases of all running answers.
   * @param now milliseconds of a clock that nobody sets.
   * @returns ids of those whose lease was not renewed for the time of a lease, in looks since then.
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

  /** What could not be renewed, whether its process lives or not, is given the time of a lease. */
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
