/** Makes the rows in which spending is counted: statements that reserve lock them, and make none. */

import type { Kysely } from 'kysely'
import { Alone } from '../../database/alone.ts'
import type { Schema } from '../../database/schema.ts'
import type { Batcher } from '../../database/statements/batcher.ts'
import { ensureSpendingRows } from './reservation-sql.ts'
import { ensureTeamSpendingRows } from './team-reservation-sql.ts'

type Spender = {
  userId: string
  teamId?: string
  cappedSessionId: string | null
  day: string
  month: string
}

/** What calls lock for which teams pay, as options of their batches: members of one share its pool. */
export const TEAM_LOCKS = {
  keysOf: ({ userId }: { userId: string }) => [userId],
  sharedRowOf: ({ teamId }: { teamId: string }) => teamId,
}

/**
 * Asks together with others, and once more alone where the calls before it in the statement could have
 * taken what is left of the team's pool (`contended`).
 */
export async function loadUncontended<Asked, Row extends { outcome: string }>(
  batcher: Batcher<Asked, Row>,
  asked: Asked,
): Promise<Row> {
  const together = await batcher.load(asked)
  return together.outcome === 'contended' ? batcher.loadAlone(asked) : together
}

export class SpendingRows {
  readonly #db: Kysely<Schema>
  readonly #alone = new Alone()

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  /**
   * Runs a statement that reserves. Where it finds rows missing (`unprepared`), makes them and runs it
   * once more.
   *
   * @param spender with `teamId` where a team pays.
   */
  async prepared<Row extends { outcome: string }>(
    spender: Spender,
    reserve: () => Promise<Row>,
  ): Promise<Row> {
    const first = await reserve()
    if (first.outcome !== 'unprepared') return first
    const { userId, teamId } = spender
    await this.#alone.run(userId, false, () => ensureSpendingRows(this.#db, spender))
    if (teamId !== undefined) {
      const ofTeam = { ...spender, teamId }
      await this.#alone.run(teamId, false, () => ensureTeamSpendingRows(this.#db, ofTeam))
    }
    return reserve()
  }
}
