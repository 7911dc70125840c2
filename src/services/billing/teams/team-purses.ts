/** Teams as payers: what a call needs of the team whose money it spends. */

import { AppError } from '../../../errors.ts'
import type { BudgetPeriod, TeamLimits } from '../../../repositories/billing/budgets.ts'
import type { Repositories } from '../../../repositories/index.ts'
import type { TeamPurse } from '../../../repositories/teams/purse-sql.ts'
import type { TeamRef } from '../../../repositories/teams/teams.ts'
import type { Caller } from '../../access/caller.ts'
import type { Vault } from '../../keys/vault.ts'
import { teamArchived, teamNotFound } from '../../teams/team-errors.ts'
import { teamNameKey, teamRef } from '../../teams/team-name.ts'
import { memberCapIn, poolLimitIn } from './raised-limits.ts'

type Deps = {
  repositories: Pick<Repositories, 'teamKeys' | 'teamPurses'>
  vault: Pick<Vault, 'openTeam'>
  /** Without a trailing slash. */
  publicUrl: string
}

/** A team's purse, opened for one call. */
export type OpenedPurse = {
  teamId: string
  teamName: string
  keyId: string
  lastFour: string
  wasRejected: boolean
  credentials: { apiKey: string; endUserId: string }
  limits: TeamLimits
}

export class TeamPurses {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /**
   * @param team an id or a name.
   * @param choices what `pay_with` may name if the session may not spend its money.
   * @param known a purse that was read with the call; another team's is not used.
   * @throws AppError not_found, also for a team that the caller is not in; forbidden when it is
   *   archived; payer_required when the session may not spend its money; team_key_missing.
   */
  async open(
    caller: Pick<Caller, 'userId' | 'sessionId'>,
    team: string,
    choices: readonly string[] = ['own'],
    known?: TeamPurse,
  ): Promise<OpenedPurse> {
    const ref = teamRef(team)
    const { teamPurses } = this.#deps.repositories
    const purse = known && isOf(known, ref) ? known : await teamPurses.find(caller, ref)
    if (purse === undefined) throw teamNotFound('pay_with')
    if (purse.isArchived) throw teamArchived()
    if (!purse.maySpend) throw notInConsent(purse.name, choices)
    if (purse.key === null) throw await this.#keyMissing(purse)
    const vault = this.#deps.vault.openTeam(purse.id, purse.dataKey)
    return {
      teamId: purse.id,
      teamName: purse.name,
      keyId: purse.key.id,
      lastFour: purse.key.lastFour,
      wasRejected: purse.key.rejectedAt !== null,
      credentials: {
        apiKey: vault.openApiKey(purse.key.id, purse.key.sealed),
        endUserId: vault.endUserId(caller.userId),
      },
      limits: limitsOf(purse, caller.userId),
    }
  }

  /** Usernames of those who can raise the team's limits. */
  async owners({ teamId }: Pick<OpenedPurse, 'teamId'>): Promise<string[]> {
    return this.#deps.repositories.teamKeys.listOwners(teamId)
  }

  async #keyMissing({ id, name }: TeamPurse): Promise<AppError> {
    const ask = await this.owners({ teamId: id })
    const url = `${this.#deps.publicUrl}/account/teams/${id}/money`
    return new AppError(
      'team_key_missing',
      `The team ${name} has no Anthropic key. ${namesOf(ask)} can enter one at ${url}.`,
      { details: { team: name, ask, url } },
    )
  }
}

const isOf = ({ id, name }: TeamPurse, ref: TeamRef) =>
  'id' in ref ? ref.id.toLowerCase() === id : ref.nameKey === teamNameKey(name)

/** A connection spends only the purses that its user ticked: a text that Claude reads cannot add one. */
const notInConsent = (name: string, choices: readonly string[]) =>
  new AppError(
    'payer_required',
    `This connection or token was not given leave to spend the money of the team ${name}. ${choices.length > 0 ? 'Send with pay_with: "own", or have' : 'Have'} its user allow it: by connecting again, or with a new token.`,
    { details: { field: 'pay_with', choices } },
  )

export const payerGone = () =>
  new AppError(
    'payer_required',
    'The team that was to pay changes at this moment: its members or its key. Nothing was sent; try again.',
    { retryable: true, details: { field: 'pay_with', choices: ['own'] } },
  )

function limitsOf({ poolLimits, caps, raises }: TeamPurse, userId: string): TeamLimits {
  const pool = (period: BudgetPeriod) => poolLimitIn(period, poolLimits, raises)
  const member = (period: BudgetPeriod) => memberCapIn(period, userId, caps, raises)
  return {
    pool: { day: pool('day'), month: pool('month') },
    member: { day: member('day'), month: member('month') },
  }
}

export const namesOf = (ask: readonly string[]) =>
  ask.length === 0 ? 'The operator' : `Its owner${ask.length > 1 ? 's' : ''} ${ask.join(', ')}`
