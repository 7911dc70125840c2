import { z } from 'zod'
import { MOST_ROWS } from '../../services/billing/usage.ts'
import type { Services } from '../../services/index.ts'
import { defineTool } from '../tool.ts'
import { untrustedMark, untrustedText } from '../untrusted-text.ts'

/** Claude did not exist before, and PostgreSQL rejects dates near the year 0. */
const FIRST_DAY = '2020-01-01'

const day = z.iso
  .date('must be a day, for example 2026-11-01')
  .refine((text) => text >= FIRST_DAY, `must be ${FIRST_DAY} or later`)

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

export const getUsage = defineTool({
  name: 'get_usage',
  title: 'Usage and cost',
  description:
    "What was used and what it cost, per day, model, conversation, tag or user: your own, or everybody's for an admin.",
  access: 'user',
  scope: 'usage:read',
  hints: { readOnly: true, destructive: false, idempotent: true, openWorld: false },
  input: z.object({
    from: day.optional().describe('First day (UTC), included. Default: 30 days up to `to`.'),
    to: day.optional().describe('Last day (UTC), included. Default: today.'),
    group_by: z
      .enum(['day', 'model', 'conversation', 'tag', 'user'])
      .default('day')
      .describe('What each row stands for.'),
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
        key: z.string().nullable().describe('null: calls without a tag, or withheld.'),
        ...figures,
      }),
    ),
    total: z.object(figures).describe('Of all rows, on this page or not.'),
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
  async run({ from, to, group_by: groupBy, limit, offset }, { caller, services }) {
    const page = { limit, offset }
    const report = await services.usage.report(caller, { from, to }, groupBy, page)
    const { bytes, limitBytes } = await services.storage.use(caller.userId)
    const storage = { bytes, limit_bytes: limitBytes }
    const next = report.nextOffset === null ? {} : { next_offset: report.nextOffset }
    return { ...usageReport(report), ...next, storage }
  },
})

type Report = Awaited<ReturnType<Services['usage']['report']>>

/** The tool's output, which the usage resource shares. */
export function usageReport({ scope, from, to, groupBy, withheld, rows, total }: Report) {
  return {
    scope,
    from,
    to,
    group_by: groupBy,
    ...(withheld === undefined ? {} : { keys_withheld_without: withheld }),
    rows: rows.map((row) => ({ ...toKey(row), ...toFigures(row) })),
    total: toFigures(total),
  }
}

const toKey = ({ key, isOthersText }: Report['rows'][number]) =>
  key !== null && isOthersText
    ? { key_is_untrusted: true as const, key: untrustedText(key) }
    : { key }

const toFigures = (row: Report['total']) => ({
  calls: row.calls,
  estimated_calls: row.estimatedCalls,
  unpriced_calls: row.unpricedCalls,
  input_tokens: row.inputTokens,
  output_tokens: row.outputTokens,
  cache_read_input_tokens: row.cacheReadTokens,
  cache_creation_input_tokens: row.cacheWriteTokens,
  cost_usd: row.costUsd,
})
