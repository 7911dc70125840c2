import { z } from 'zod'
import type { Caller } from '../../services/access/caller.ts'
import type { Services } from '../../services/index.ts'
import { defineTool, storableText } from '../tool.ts'
import { budget, toBudget, toUsd } from './budget.ts'

export const getBudget = defineTool({
  name: 'get_budget',
  title: 'Show the budget',
  description:
    'Your budget for this day and month (UTC): limit, spent, reserved, remaining; and the monthly limit of the connection in use, if it has one.',
  access: 'user',
  scope: 'usage:read',
  hints: { readOnly: true, destructive: false, idempotent: true, openWorld: false },
  input: z.object({
    username: storableText.max(64).optional().describe("Admins only: another user's budget."),
  }),
  output: budget.extend({
    connection: z
      .object({
        limit_usd: z.number(),
        spent_usd: z.number(),
        remaining_usd: z.number().describe('Not counting what running answers may still cost.'),
      })
      .optional()
      .describe('The limit of this connection for this month; left out where it has none.'),
  }),
  async run({ username }, { caller, services }) {
    const status = toBudget(await services.budgetSettings.show(caller, username))
    const own = username === undefined ? await connectionLimit(caller, services) : undefined
    return own ? { ...status, connection: own } : status
  },
})

async function connectionLimit(caller: Caller, services: Services) {
  if (caller.kind !== 'connection') return undefined
  const own = (await services.sessions.list(caller)).find(({ isCurrent }) => isCurrent)
  if (!own || own.limitNanoUsd === null) return undefined
  const spent = own.spentNanoUsd ?? 0n
  const left = own.limitNanoUsd > spent ? own.limitNanoUsd - spent : 0n
  return {
    limit_usd: toUsd(own.limitNanoUsd),
    spent_usd: toUsd(spent),
    remaining_usd: toUsd(left),
  }
}
