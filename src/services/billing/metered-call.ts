/**
 * Reserve, run, settle: the only way in which the gateway spends.
 *
 * Nothing runs without a reservation that is durable. After an error, an abort or the loss of the
 * database, too, it is settled exactly once: here, by a settlement that is repeated until it
 * succeeds (lasting-settlement.ts), or, when this process dies or gives up, by the process that
 * finds its lease no longer renewed (orphan-closer.ts).
 */

import type { Reservation } from '../../repositories/billing/budgets.ts'
import type { Releases } from './releases.ts'

type Held = { userId: string; reservation: Pick<Reservation, 'team'> }

/** The types of a kind of call; `handle` is what its tracking gives it, such as an abort signal. */
type Kind = { held: Held; handle: unknown; outcome: unknown; settled: unknown }

/** A call once it is reserved. */
export type MeteredCall<K extends Kind> = {
  /**
   * Makes the work known to this process before it begins: as long as it is, its lease is renewed,
   * and a shutdown waits for it. Must not throw.
   */
  track(held: K['held'], work: (handle: K['handle']) => Promise<K['settled']>): void
  /** What the reservation was made for. */
  run(held: K['held'], handle: K['handle']): Promise<K['outcome']>
  /** The outcome when {@link run} throws. Must not throw. */
  failed(held: K['held'], thrown: unknown): K['outcome']
  /** Books what was used and frees the rest, in one statement. */
  settle(held: K['held'], outcome: K['outcome'], handle: K['handle']): Promise<K['settled']>
}

export class MeteredCalls {
  readonly #releases: Releases

  constructor(releases: Releases) {
    this.#releases = releases
  }

  /**
   * @param reserve makes the worst case of the cost durable, or says in a word why it did not; after
   *   that, and after a throw, nothing is reserved. What it refers to can be collected while the
   *   call runs.
   * @returns what was reserved, as soon as it is; the call then goes on without its caller. Or the
   *   word: then nothing has run.
   */
  async start<K extends Kind, Refused extends string = never>(
    reserve: () => Promise<K['held'] | Refused>,
    call: MeteredCall<K>,
  ): Promise<K['held'] | Refused> {
    const held = await reserve()
    if (typeof held === 'string') return held
    call.track(held, async (handle) => {
      const outcome = await outcomeOf(call, held, handle)
      return call.settle(held, outcome, handle).finally(() => this.#released(held))
    })
    return held
  }

  #released({ userId, reservation }: Held): void {
    this.#releases.released(reservation.team?.teamId ?? userId)
  }
}

async function outcomeOf<K extends Kind>(
  call: MeteredCall<K>,
  held: K['held'],
  handle: K['handle'],
): Promise<K['outcome']> {
  try {
    return await call.run(held, handle)
  } catch (thrown) {
    return call.failed(held, thrown)
  }
}
