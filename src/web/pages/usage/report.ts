import type { Request, RequestHandler } from 'express'
import { AppError } from '../../../errors.ts'
import { sendFile } from '../../../http/send-file.ts'
import type { Caller } from '../../../services/access/caller.ts'
import type { Services } from '../../../services/index.ts'
import { csvLine } from '../../../text/csv.ts'
import { toDecimalUsd } from '../../../text/usd-amount.ts'
import { callerOf, type PageContext } from '../../page-context.ts'
import { type Filter, filterOf } from './filter.ts'
import type { Report } from './report-view.ts'

/** A row for each day that can be asked for. */
const MOST_SHOWN = 366
const CSV_PAGE = 1000
const MOST_CSV_PAGES = 20

/** An admin's report would include all users; the pages show only the reader's. */
export const ownReport = (
  { usage }: Pick<Services, 'usage'>,
  caller: Caller,
  { from, to, group }: Filter,
  page = { limit: MOST_SHOWN, offset: 0 },
) => usage.report({ ...caller, isAuditor: false }, { from, to }, group, page)

/** GET /account/usage/csv: the whole report as a file, the most expensive rows first. */
export const usageCsv =
  ({ services }: PageContext): RequestHandler =>
  async (req, res) => {
    const filter = validFilter(req)
    const { from, to, group } = filter
    await sendFile(res, csvOf(services, callerOf(req), filter), {
      type: 'text/csv; charset=utf-8',
      name: `usage-by-${group}-${from}-to-${to}.csv`,
    })
  }

function validFilter(req: Request): Filter {
  const { filter, refusal } = filterOf(req)
  if (!refusal) return filter
  throw new AppError('invalid_input', Object.values(refusal.errors).join(' '))
}

async function* csvOf(services: Pick<Services, 'usage'>, caller: Caller, filter: Filter) {
  const cells = filter.group === 'session' ? { ...CELLS, ...SESSION_CELLS } : CELLS
  yield csvLine([filter.group, ...Object.keys(cells)])
  let offset: number | null = 0
  for (let page = 0; page < MOST_CSV_PAGES && offset !== null; page += 1) {
    const report: Report = await ownReport(services, caller, filter, { limit: CSV_PAGE, offset })
    yield report.rows
      .map((row) => csvLine([row.key ?? '', ...Object.values(cells).map((cell) => cell(row))]))
      .join('')
    offset = report.nextOffset
  }
}

type Row = Report['rows'][number]

const CELLS: Record<string, (row: Row) => string | number> = {
  calls: ({ calls }) => calls,
  estimated_calls: ({ estimatedCalls }) => estimatedCalls,
  unpriced_calls: ({ unpricedCalls }) => unpricedCalls,
  input_tokens: ({ inputTokens }) => inputTokens,
  output_tokens: ({ outputTokens }) => outputTokens,
  cache_read_input_tokens: ({ cacheReadTokens }) => cacheReadTokens,
  cache_creation_input_tokens: ({ cacheWriteTokens }) => cacheWriteTokens,
  cost_usd: ({ costNanoUsd }) => toDecimalUsd(costNanoUsd),
}

const SESSION_CELLS: typeof CELLS = {
  models: ({ session }) => session?.models.join(' ') ?? '',
  first_call_at: ({ session }) => session?.firstCallAt.toISOString() ?? '',
  last_call_at: ({ session }) => session?.lastCallAt.toISOString() ?? '',
  subagent_cost_usd: ({ session }) => (session ? toDecimalUsd(session.subagentCostNanoUsd) : ''),
}
