import { z } from 'zod'
import { AppError } from '../../errors.ts'
import { parseUsd } from '../../text/usd-amount.ts'
import { defineTool, storableText } from '../definitions/tool.ts'
import { budget, toBudget } from './budget.ts'
import { usdNumber, usdText } from './usd-limit.ts'

export const setBudget = defineTool({
  name: 'set_budget',
  title: 'Set a budget',
  description:
    'Cap what may be spent in a day or month (UTC): by you, below the limit given to you; for admins, by a user (username); for those who manage a team, by all its members with its key (team). Both limits are replaced; one that is left out is removed.',
  access: 'user',
  scope: 'account',
  hints: { readOnly: false, destructive: true, idempotent: true, openWorld: false },
  input: z.object({
    period: z.enum(['day', 'month']).describe('Which budget.'),
    limit_usd: z
      .union([usdNumber, usdText])
      .nullish()
      .describe('USD, as a number or a text like "$5"; null or left out: no limit.'),
    limit_tokens: z
      .number()
      .int()
      .min(0)
      .nullish()
      .describe('Tokens, input and output together; null or left out: no limit.'),
    reset: z
      .boolean()
      .default(false)
      .describe("true removes this cap altogether; for an admin: back to the gateway's default."),
    covers: z
      .enum(['own_key', 'everything'])
      .optional()
      .describe(
        'own_key: what that user’s own key pays; everything: also what teams pay for them. Left out: as it was.',
      ),
    username: storableText.max(64).optional().describe('Admins only: whose limit to set.'),
    team: storableText
      .trim()
      .min(1)
      .max(64)
      .optional()
      .describe(
        'Name or id of a team that you manage: its budget instead of yours; needs teams:manage.',
      ),
  }),
  output: budget,
  async run(args, { caller, services }) {
    refuseContradiction(args)
    const limit = {
      nanoUsd: parseUsd(args.limit_usd ?? '') ?? null,
      tokens: args.limit_tokens ?? null,
    }
    const { username, period, team, covers } = args
    if (team !== undefined) {
      refuseBoth(username)
      refuseCovers(covers)
      const change = args.reset ? null : limit
      await services.teamBudgets.setPool(caller, team, [{ period, change }])
      return toBudget((await services.teamBudgets.show(caller, team)).pool)
    }
    await services.budgetSettings.set(caller, username, period, args.reset ? null : limit, covers)
    return toBudget(await services.budgetSettings.show(caller, username))
  },
})

function refuseBoth(username: string | undefined): void {
  if (username === undefined) return
  throw new AppError(
    'invalid_input',
    "Give team or username. A member's part of a team is set by manage_team.",
    { details: { fields: ['team', 'username'] } },
  )
}

/** What a team's key pays counts in a team's budget, and nothing else. */
function refuseCovers(covers: string | undefined): void {
  if (covers === undefined) return
  throw new AppError('invalid_input', "covers is about a user's limit: leave it out with team.", {
    details: { fields: ['team', 'covers'] },
  })
}

/** A forgotten limit must not be read as "no limit". */
function refuseContradiction(args: {
  limit_usd?: number | string | null | undefined
  limit_tokens?: number | null | undefined
  reset: boolean
}): void {
  const limits = [args.limit_usd, args.limit_tokens]
  const isWrong = args.reset
    ? limits.some((limit) => limit !== null && limit !== undefined)
    : limits.every((limit) => limit === undefined)
  if (!isWrong) return
  throw new AppError(
    'invalid_input',
    args.reset
      ? 'reset removes the cap, so give no limit with it.'
      : 'Give limit_usd, limit_tokens or both (null for no limit), or reset: true.',
    { details: { fields: args.reset ? ['reset'] : ['limit_usd', 'limit_tokens'] } },
  )
}
