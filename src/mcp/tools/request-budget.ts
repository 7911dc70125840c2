import { z } from 'zod'
import { AppError } from '../../errors.ts'
import { MAX_REASON_CHARACTERS } from '../../services/billing/requests/budget-requests.ts'
import { parseUsd } from '../../text/usd-amount.ts'
import { defineTool, storableText } from '../definitions/tool.ts'
import { usdNumber, usdText } from './usd-limit.ts'

export const requestBudget = defineTool({
  name: 'request_budget',
  title: 'Ask for a higher limit',
  description:
    'After budget_exceeded: ask for a higher limit until the day or month is over. With team its owners and admins are asked about its money, without it the admins about your own limit. Only when the user wants it.',
  access: 'user',
  scope: 'teams:read',
  hints: { readOnly: false, destructive: false, idempotent: false, openWorld: false },
  input: z.object({
    team: storableText.trim().min(1).max(64).optional().describe('Name or id of a team of yours.'),
    limit_usd: z
      .union([usdNumber, usdText])
      .optional()
      .describe('The limit that you ask for, in USD: more than the present one.'),
    reason: storableText
      .max(MAX_REASON_CHARACTERS)
      .optional()
      .describe('What for, in the words that those who decide will read.'),
    withdraw: z
      .uuid('must be an id of a request')
      .optional()
      .describe('Instead: a request_id of yours, to take it back.'),
  }),
  output: z.object({
    request_id: z.uuid(),
    asked: z.array(z.string()).describe('Usernames of those who can decide.'),
  }),
  async run({ team, limit_usd, reason, withdraw }, { caller, services: { budgetRequests } }) {
    if (withdraw !== undefined) {
      await budgetRequests.withdraw(caller, withdraw)
      return { request_id: withdraw, asked: [] }
    }
    if (limit_usd === undefined) throw missing('limit_usd')
    if (reason === undefined) throw missing('reason')
    const nanoUsd = parseUsd(limit_usd) ?? 0n
    const { id, asked } = await budgetRequests.ask(caller, { team, nanoUsd, reason })
    return { request_id: id, asked }
  },
})

const missing = (field: string) =>
  new AppError('invalid_input', `${field} is missing.`, { details: { field } })
