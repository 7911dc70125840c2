const TOLD_EVERY_MS = 60_000
/** More kinds than fail at once. */
const MOST_KINDS = 20

/** For trouble that comes again in every round: tells at once, then of each kind once a minute. */
export class TroubleLog {
  readonly #tell: (err: unknown) => void
  readonly #toldAt = new Map<string, number>()

  constructor(tell: (err: unknown) => void) {
    this.#tell = tell
  }

  note(err: unknown): void {
    const kind = err instanceof Error ? err.message : String(err)
    const now = performance.now()
    if (now - (this.#toldAt.get(kind) ?? Number.NEGATIVE_INFINITY) < TOLD_EVERY_MS) return
    if (this.#toldAt.size >= MOST_KINDS) this.#toldAt.clear()
    this.#toldAt.set(kind, now)
    this.#tell(err)
  }
}
