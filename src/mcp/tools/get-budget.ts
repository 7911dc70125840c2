import { z } from 'zod'
import { defineTool, storableText } from '../tool.ts'
import { budget, toBudget } from './budget.ts'

export const getBudget = defineTool({
  name: 'get_budget',
  title: 'Show the budget',
  description: 'Your budget for this day and month (UTC): limit, spent, reserved, remaining.',
  access: 'user',
  scope: 'usage:read',
  hints: { readOnly: true, destructive: false, idempotent: true, openWorld: false },
  input: z.object({
    username: storableText.max(64).optional().describe("Admins only: another user's budget."),
  }),
  output: budget,
  async run({ username }, { caller, services }) {
    return toBudget(await services.budgetSettings.show(caller, username))
  },
})
