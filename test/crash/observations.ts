/** What the clients were told, for the comparison with what is there in the end. */

/** An answer that a client received whole. */
export type Acknowledged = {
  sender: number
  key: string
  text: string
  messageId: string
  conversationId: string
}

export class Observations {
  readonly keys = new Set<string>()
  readonly acknowledged = new Map<string, Acknowledged>()
  /** message_id of each answer that somebody was told of, finished or not, and who that was. */
  readonly announced = new Map<string, number>()
  /** Contradictions between two answers to one client. */
  readonly contradictions: string[] = []
  /** How calls ended without an answer, by error code; final ones, which no repeat mends. */
  ended: Record<string, number> = {}
  /** Calls that failed, whether or not a repeat mends them, but for those whose client vanished. */
  readonly failures: string[] = []
  repeats = 0
  vanished = 0
  #taken = { keys: 0, acknowledged: 0, repeats: 0, vanished: 0 }

  acknowledge(answer: Acknowledged): void {
    const before = this.acknowledged.get(answer.key)
    if (before && before.messageId !== answer.messageId) {
      this.contradictions.push(`${answer.key} has two answers`)
    }
    this.acknowledged.set(answer.key, answer)
    this.announced.set(answer.messageId, answer.sender)
  }

  /** How many answers these senders have received. */
  countOf(isCounted: (sender: number) => boolean): number {
    return [...this.acknowledged.values()].filter(({ sender }) => isCounted(sender)).length
  }

  end(code: string): void {
    this.ended[code] = (this.ended[code] ?? 0) + 1
  }

  /** The figures of one phase: what has been counted since the last time. */
  takeFigures() {
    const total = {
      keys: this.keys.size,
      acknowledged: this.acknowledged.size,
      repeats: this.repeats,
      vanished: this.vanished,
    }
    const before = this.#taken
    const { ended } = this
    this.#taken = total
    this.ended = {}
    return {
      keys: total.keys - before.keys,
      acknowledged: total.acknowledged - before.acknowledged,
      repeats: total.repeats - before.repeats,
      vanished: total.vanished - before.vanished,
      ended,
    }
  }
}

export type Figures = ReturnType<Observations['takeFigures']>
