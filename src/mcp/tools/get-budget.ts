import { z } from 'zod'
import type { Caller } from '../../services/access/caller.ts'
import { requireScopes } from '../../services/access/scopes.ts'
import { type Book, bindingOf, leftOf } from '../../services/billing/books/book.ts'
import type { Services } from '../../services/index.ts'
import { toUsd } from '../../text/usd-amount.ts'
import { defineTool, instant, storableText } from '../definitions/tool.ts'
import { budget, toBudget } from './budget.ts'

export const getBudget = defineTool({
  name: 'get_budget',
  title: 'Show the budget',
  description:
    'Your budget for this day and month (UTC): limit, spent, reserved, remaining; the monthly limit of the connection in use, if it has one; and in books every limit that applies to you. With team also what its key may still be used for.',
  access: 'user',
  scope: 'usage:read',
  hints: { readOnly: true, destructive: false, idempotent: true, openWorld: false },
  input: z.object({
    username: storableText.max(64).optional().describe("Admins only: another user's budget."),
    team: storableText
      .trim()
      .min(1)
      .max(64)
      .optional()
      .describe('Name or id of a team of yours: adds its budget and your part of it.'),
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
    books: z
      .array(
        z.object({
          book: z
            .enum(['own', 'connection', 'team', 'member'])
            .describe('member: your part of the money of a team.'),
          team: z.string().nullable(),
          period: z.enum(['day', 'month']),
          covers: z.enum(['own_key', 'everything']).nullable().describe('Of your own.'),
          set_by: z.enum(['default', 'admin', 'user', 'team']),
          limit_usd: z.number().nullable(),
          limit_tokens: z.number().int().nullable(),
          left_usd: z.number().nullable().describe('Less what running answers may still cost.'),
          left_tokens: z.number().int().nullable(),
          resets_at: instant,
          binding: z.boolean().describe('Whether it stops you first, for some payer.'),
        }),
      )
      .optional()
      .describe('Yours only, and only limits; those of teams need teams:read.'),
    team: z
      .object({
        name: z.string(),
        has_key: z.boolean().describe('Without one nothing is paid by the team.'),
        budgets: budget.shape.budgets.describe('What all members share.'),
        yours: budget.shape.budgets.describe('Your part of it.'),
      })
      .optional(),
  }),
  async run({ username, team }, { caller, services }) {
    const status = toBudget(await services.budgetSettings.show(caller, username))
    const own = username === undefined ? await connectionLimit(caller, services) : undefined
    const books = username === undefined ? await services.books.list(caller) : undefined
    const ofTeam = team === undefined ? undefined : await teamBudget(caller, services, team)
    return {
      ...status,
      ...(own && { connection: own }),
      ...(books && { books: toRows(books) }),
      ...(ofTeam && { team: ofTeam }),
    }
  },
})

function toRows(books: readonly Book[]) {
  const binding = bindingOf(books)
  return books.map((book) => {
    const left = leftOf(book)
    return {
      book: book.kind,
      team: book.team?.name ?? null,
      period: book.period,
      covers: book.covers,
      set_by: book.setBy,
      limit_usd: toUsd(book.limit.nanoUsd),
      limit_tokens: book.limit.tokens,
      left_usd: toUsd(left.nanoUsd),
      left_tokens: left.tokens,
      resets_at: book.resetsAt.toISOString(),
      binding: binding.has(book),
    }
  })
}

async function teamBudget(caller: Caller, services: Services, name: string) {
  requireScopes(caller.scopes, ['teams:read'])
  const { team, hasKey, pool, member } = await services.teamBudgets.show(caller, name)
  return {
    name: team.name,
    has_key: hasKey,
    budgets: toBudget(pool).budgets,
    yours: toBudget(member).budgets,
  }
}

async function connectionLimit(caller: Caller, services: Services) {
  if (caller.kind !== 'connection' && caller.kind !== 'personal') return undefined
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
