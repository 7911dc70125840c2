import { z } from 'zod'
import { AppError } from '../../errors.ts'
import type { Caller } from '../../services/access/caller.ts'
import {
  ALLOCATION_GROUPS,
  type AllocationGroup,
  type AllocationRow,
  MOST_ROWS,
  sessionShares,
  USAGE_GROUPS,
  type UsageGroup,
} from '../../services/billing/usage.ts'
import type { Services } from '../../services/index.ts'
import { toUsd } from '../../text/usd-amount.ts'
import { defineTool, storableText } from '../definitions/tool.ts'
import { untrustedMark, untrustedText } from '../untrusted-text.ts'
import { day } from './day.ts'

const figures = {
  calls: z.number().int().describe('Calls that were billed.'),
  estimated_calls: z.number().int().describe('Of these, with usage that had to be estimated.'),
  unpriced_calls: z.number().int().describe('Of these, without a known price: not in cost_usd.'),
  input_tokens: z.number().int().describe('All input, cached or not.'),
  output_tokens: z.number().int(),
  cache_read_input_tokens: z.number().int(),
  cache_creation_input_tokens: z.number().int(),
  cost_usd: z.number(),
}

/** Only rows of sessions have them, and only of these days. */
const sessionFacts = {
  models: z.array(z.string()).optional().describe('Of a session: the models that answered.'),
  first_call_at: z.string().optional().describe('When its first call began.'),
  last_call_at: z.string().optional().describe('When its last call ended.'),
  cache_hit_share: z
    .number()
    .nullable()
    .optional()
    .describe('How much of its input was read from the cache, 0 to 1.'),
  subagent_share: z
    .number()
    .nullable()
    .optional()
    .describe('How much of its cost sub-agents caused, 0 to 1. null: no known cost.'),
}

export const getUsage = defineTool({
  name: 'get_usage',
  title: 'Usage and cost',
  description:
    "What was used and what it cost, per day, model, conversation, tag, session or client of the Messages API, source, key or user: your own, or everybody's for an admin or auditor. With team: what that team paid for. group_by may be a list of two.",
  access: 'user',
  scope: 'usage:read',
  hints: { readOnly: true, destructive: false, idempotent: true, openWorld: false },
  input: z.object({
    from: day.optional().describe('First day (UTC), included. Default: 30 days up to `to`.'),
    to: day.optional().describe('Last day (UTC), included. Default: today.'),
    group_by: z
      .union([
        z.enum([
          'day',
          'model',
          'conversation',
          'tag',
          'session',
          'client',
          'source',
          'key',
          'user',
          'team',
          'member',
          'payer',
        ]),
        z.array(z.enum(ALLOCATION_GROUPS)).max(2),
      ])
      .default('day')
      .describe(
        'What each row is. session: of Claude Code and its like; client: the program; source: mcp or messages; key: its last four characters; team: that paid; member: who sent; payer: own or team. A list: two of team, member, tag, model, day, payer.',
      ),
    team: storableText
      .trim()
      .min(1)
      .max(64)
      .optional()
      .describe(
        'Name or id of a team of yours: what it paid for, of all members if you manage it, by team, member, tag, model, day or payer.',
      ),
    payer: z
      .enum(['own', 'team', 'all'])
      .default('all')
      .describe('Count only what was paid with own keys, or by teams. With the groups of team.'),
    limit: z
      .number()
      .int()
      .min(1)
      .max(MOST_ROWS)
      .default(366)
      .describe(`Rows per page, 1 to ${MOST_ROWS}.`),
    offset: z
      .number()
      .int()
      .min(0)
      .max(10_000_000)
      .default(0)
      .describe('Rows to skip: next_offset of the page before.'),
  }),
  output: z.object({
    scope: z.enum(['own', 'everybody']),
    from: z.string(),
    to: z.string(),
    group_by: z.string(),
    keys_withheld_without: z
      .string()
      .optional()
      .describe('The permission that this connection or token lacks to be shown the keys.'),
    rows: z.array(
      z.object({
        key_is_untrusted: untrustedMark,
        key: z.string().nullable().describe('null: calls without one, or withheld.'),
        second_key_is_untrusted: untrustedMark,
        second_key: z.string().nullable().optional().describe('The second key, of two.'),
        user: z.string().optional().describe("Whose session it is, in everybody's sessions."),
        deleted: z.literal(true).optional().describe('The conversation no longer exists.'),
        ...figures,
        ...sessionFacts,
      }),
    ),
    total: z
      .object(figures)
      .optional()
      .describe(
        'Of all rows, on this page or not; left out with team or payer, and with a list of groups.',
      ),
    next_offset: z
      .number()
      .int()
      .optional()
      .describe('Only when there are more rows: pass as offset for them.'),
    storage: z
      .object({
        bytes: z.number().int(),
        limit_bytes: z.number().int().nullable().describe('null: no limit.'),
      })
      .describe('What is kept of you now: messages, titles and system prompts, encrypted.'),
  }),
  async run(args, { caller, services }) {
    const { from, to, group_by: groupBy, team, limit, offset } = args
    const page = { limit, offset }
    const range = { from, to }
    const payer = args.payer === 'all' ? undefined : args.payer
    if (team !== undefined || payer !== undefined || !isUsageGroup(groupBy)) {
      return allocated({ caller, services }, range, groupsOf(groupBy), { team, payer }, page)
    }
    const report = await services.usage.report(caller, range, groupBy, page)
    const next = report.nextOffset === null ? {} : { next_offset: report.nextOffset }
    return { ...usageReport(report), ...next, storage: await storageOf(caller, services) }
  },
})

type Asked = { caller: Caller; services: Services }
type Range = { from?: string | undefined; to?: string | undefined }

async function storageOf({ userId }: Caller, services: Services) {
  const { bytes, limitBytes } = await services.storage.use(userId)
  return { bytes, limit_bytes: limitBytes }
}

const isUsageGroup = (group: string | readonly string[]): group is UsageGroup =>
  USAGE_GROUPS.some((known) => known === group)

/** @throws AppError invalid_input for a group that teams do not have. */
function groupsOf(asked: string | readonly string[]): AllocationGroup[] {
  const names = typeof asked === 'string' ? [asked] : asked
  const groups = names.flatMap((name) => ALLOCATION_GROUPS.filter((group) => group === name))
  if (groups.length > 0 && groups.length === names.length && new Set(groups).size === groups.length)
    return groups
  throw new AppError(
    'invalid_input',
    `With team, payer or a list, group_by takes one or two of ${ALLOCATION_GROUPS.join(', ')}.`,
    { details: { fields: ['group_by'] } },
  )
}

async function allocated(
  { caller, services }: Asked,
  range: Range,
  groups: readonly AllocationGroup[],
  of: { team: string | undefined; payer: 'own' | 'team' | undefined },
  page: { limit: number; offset: number },
) {
  const report = await services.usage.allocate(caller, range, groups, of, page)
  const { from, to, isOwn, rows, nextOffset } = report
  return {
    scope: isOwn ? ('own' as const) : ('everybody' as const),
    from,
    to,
    group_by: groups.join(','),
    rows: rows.map((row) => ({ ...toKeys(row, groups), ...toFigures(row) })),
    ...(nextOffset === null ? {} : { next_offset: nextOffset }),
    storage: await storageOf(caller, services),
  }
}

/** A tag is the text of who sent the message. */
function toKeys({ keys, isOthers }: AllocationRow, [first, second]: readonly AllocationGroup[]) {
  const shown = (name: 'key' | 'second_key', group: AllocationGroup | undefined) => {
    if (group === undefined) return {}
    const key = keys[group]?.key ?? null
    return group === 'tag' && isOthers && key !== null
      ? { [`${name}_is_untrusted`]: true as const, [name]: untrustedText(key) }
      : { [name]: key }
  }
  return { key: null, ...shown('key', first), ...shown('second_key', second) }
}

type Report = Awaited<ReturnType<Services['usage']['report']>>

/** The tool's output, which the usage resource shares. */
export function usageReport({ scope, from, to, groupBy, withheld, rows, total }: Report) {
  return {
    scope,
    from,
    to,
    group_by: groupBy,
    ...(withheld === undefined ? {} : { keys_withheld_without: withheld }),
    rows: rows.map((row) => ({ ...toKey(row), ...toFigures(row), ...toSessionFacts(row) })),
    total: toFigures(total),
  }
}

const toKey = ({ key, username, isOthersText, isDeleted }: Report['rows'][number]) => ({
  ...(key !== null && isOthersText
    ? { key_is_untrusted: true as const, key: untrustedText(key) }
    : { key }),
  ...(username === null ? {} : { user: username }),
  ...(isDeleted ? { deleted: true as const } : {}),
})

function toSessionFacts(row: Report['rows'][number]) {
  if (row.session === null) return {}
  const { models, firstCallAt, lastCallAt } = row.session
  const { cacheHits, subagents } = sessionShares(row, row.session)
  return {
    models,
    first_call_at: firstCallAt.toISOString(),
    last_call_at: lastCallAt.toISOString(),
    cache_hit_share: cacheHits,
    subagent_share: subagents,
  }
}

const toFigures = (row: Report['total']) => ({
  calls: row.calls,
  estimated_calls: row.estimatedCalls,
  unpriced_calls: row.unpricedCalls,
  input_tokens: row.inputTokens,
  output_tokens: row.outputTokens,
  cache_read_input_tokens: row.cacheReadTokens,
  cache_creation_input_tokens: row.cacheWriteTokens,
  cost_usd: toUsd(row.costNanoUsd),
})
