import { z } from 'zod'
import type { Services } from '../../services/index.ts'
import { toUsd } from '../../text/usd-amount.ts'
import { instant } from '../definitions/tool.ts'

const usd = z.number().nullable()
const tokens = z.number().int().nullable()

/** The output of the budget tools. */
export const budget = z.object({
  budgets: z.array(
    z.object({
      period: z.enum(['day', 'month']),
      covers: z
        .enum(['own_key', 'everything'])
        .optional()
        .describe('What counts: what your own key pays, or also what teams pay for you.'),
      limit_usd: usd.describe('null: no limit.'),
      limit_tokens: tokens.describe('Input and output together. null: no limit.'),
      spent_usd: z.number(),
      spent_tokens: z.number().int(),
      reserved_usd: z.number().describe('What running answers may still cost; not spent yet.'),
      reserved_tokens: z.number().int(),
      remaining_usd: usd,
      remaining_tokens: tokens,
      resets_at: instant,
    }),
  ),
})

type OwnStatus = Awaited<ReturnType<Services['budgetSettings']['show']>>[number]
type Status = Omit<OwnStatus, 'covers'> & Partial<Pick<OwnStatus, 'covers'>>

export function toBudget(status: readonly Status[]): z.infer<typeof budget> {
  return {
    budgets: status.map(({ period, covers, limit, spent, reserved, resetsAt }) => ({
      period,
      ...(covers && { covers }),
      limit_usd: toUsd(limit.nanoUsd),
      limit_tokens: limit.tokens,
      spent_usd: toUsd(spent.nanoUsd),
      spent_tokens: spent.tokens,
      reserved_usd: toUsd(reserved.nanoUsd),
      reserved_tokens: reserved.tokens,
      remaining_usd:
        limit.nanoUsd === null
          ? null
          : Math.max(0, toUsd(limit.nanoUsd - spent.nanoUsd - reserved.nanoUsd)),
      remaining_tokens:
        limit.tokens === null ? null : Math.max(0, limit.tokens - spent.tokens - reserved.tokens),
      resets_at: resetsAt.toISOString(),
    })),
  }
}
