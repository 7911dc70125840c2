import { z } from 'zod'
import { AppError } from '../../errors.ts'
import { AMOUNT_EXAMPLES, parseUsd } from '../../text/usd-amount.ts'
import { defineTool, storableText } from '../tool.ts'
import { budget, toBudget } from './budget.ts'

const MAX_USD = 1_000_000

const usdNumber = z.number().min(0).max(MAX_USD)
const usdText = z
  .string()
  .refine(
    (text) => (parseUsd(text) ?? Number.POSITIVE_INFINITY) <= MAX_USD * 1e9,
    `must be an amount ${AMOUNT_EXAMPLES}, up to ${MAX_USD}`,
  )

export const setBudget = defineTool({
  name: 'set_budget',
  title: 'Set a budget',
  description:
    'Cap what may be spent in a day or month (UTC). Without username: a cap of your own, which counts where it is lower than the one given to you. Admins may set the limit of a user by name. Both limits are replaced; one that is left out is removed.',
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
    username: storableText.max(64).optional().describe('Admins only: whose limit to set.'),
  }),
  output: budget,
  async run(args, { caller, services }) {
    refuseContradiction(args)
    const limit = {
      nanoUsd: toNanoUsd(args.limit_usd),
      tokens: args.limit_tokens ?? null,
    }
    const { username, period } = args
    await services.budgetSettings.set(caller, username, period, args.reset ? null : limit)
    return toBudget(await services.budgetSettings.show(caller, username))
  },
})

function toNanoUsd(amount: number | string | null | undefined): bigint | null {
  if (typeof amount === 'string') return parseUsd(amount) ?? null
  return typeof amount === 'number' ? BigInt(Math.round(amount * 1e9)) : null
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
