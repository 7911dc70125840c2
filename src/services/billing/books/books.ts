/** Every limit that applies to a user, with any payer, for those who ask why a call was refused. */

import { nextStart, periodsAt } from '../../../repositories/billing/periods.ts'
import type { Repositories } from '../../../repositories/index.ts'
import type { TeamBooks } from '../../../repositories/teams/team-books.ts'
import type { Caller } from '../../access/caller.ts'
import { noSuchUser } from '../../access/field-rules.ts'
import { type Budgets, PERIODS } from '../budgets.ts'
import { type Book, leftOf } from './book.ts'
import { booksOfTeam } from './books-of-team.ts'
import { smaller } from './limit.ts'

type Deps = {
  repositories: Pick<Repositories, 'budgets' | 'calls' | 'teamBooks'>
  budgets: Budgets
}

export type PoolLeft = Pick<Book, 'period' | 'resetsAt'> & ReturnType<typeof leftOf>

export class Books {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /** The caller's own, that of the connection in use, and with `teams:read` those of their teams. */
  async list(caller: Caller, now = new Date()): Promise<Book[]> {
    const { calls, budgets, teamBooks } = this.#deps.repositories
    const periods = periodsAt(now)
    const context = await calls.findContext(caller)
    if (context === undefined) throw noSuchUser()
    const isInTeams = caller.scopes.includes('teams:read')
    const [spending, ofSession, teams] = await Promise.all([
      budgets.findSpending(caller.userId, periods),
      budgets.findOwnSpending(caller.sessionId, periods.month),
      isInTeams ? teamBooks.list(caller.userId, periods) : [],
    ])
    return [
      ...this.#deps.budgets.books(context.limits, spending, now),
      ...connectionBook(context.connection?.limitNanoUsd ?? null, ofSession, now),
      ...teams.flatMap((team) => booksOfTeam(team, caller.userId, now)),
    ]
  }

  /** What is left of the pools of the caller's teams that are in use, by the team's id. */
  async poolsLeft({ userId }: Caller, now = new Date()): Promise<Map<string, PoolLeft[]>> {
    const teams = await this.#deps.repositories.teamBooks.list(userId, periodsAt(now))
    return new Map(teams.map((team) => [team.id, poolLeft(team, userId, now)]))
  }
}

/** Of each period that has a limit, what the strictest one leaves. */
function poolLeft(team: TeamBooks, userId: string, now: Date): PoolLeft[] {
  const pool = booksOfTeam(team, userId, now).filter(({ kind }) => kind === 'team')
  return PERIODS.flatMap((period) => {
    const left = pool.filter((book) => book.period === period).map(leftOf)
    if (left.length === 0) return []
    const [nanoUsd, tokens] = [left.map((one) => one.nanoUsd), left.map((one) => one.tokens)]
    return [
      {
        period,
        resetsAt: nextStart(period, now),
        nanoUsd: nanoUsd.reduce(smaller, null),
        tokens: tokens.reduce(smaller, null),
      },
    ]
  })
}

function connectionBook(
  limitNanoUsd: bigint | null,
  { spent, reserved }: { spent: bigint; reserved: bigint },
  now: Date,
): Book[] {
  if (limitNanoUsd === null) return []
  return [
    {
      ...{ kind: 'connection', team: null, period: 'month', covers: null, setBy: 'user' },
      limit: { nanoUsd: limitNanoUsd, tokens: null },
      spent: { nanoUsd: spent, tokens: 0 },
      reserved: { nanoUsd: reserved, tokens: 0 },
      resetsAt: nextStart('month', now),
    },
  ]
}
