import {
  ALLOCATION_GROUPS,
  type AllocationGroup,
  type AllocationRow,
} from '../repositories/billing/allocation.ts'
import type { Repositories } from '../repositories/index.ts'
import { csvField } from '../text/csv.ts'
import { toDecimalUsd } from '../text/usd-amount.ts'
import { UsageError } from './arguments.ts'

/** More groups than a report has. */
const ALL = { limit: 100_000_000, offset: 0 }

/** @param text names separated by commas. @throws UsageError. */
export function groupsOf(text = 'team,member'): AllocationGroup[] {
  const names = text.split(',').map((name) => name.trim())
  const groups = ALLOCATION_GROUPS.filter((group) => names.includes(group))
  if (groups.length === names.length) {
    return [...groups].sort((a, b) => names.indexOf(a) - names.indexOf(b))
  }
  throw new UsageError(`--group takes some of: ${ALLOCATION_GROUPS.join(',')}.`)
}

/** Prints what was used and what it cost, a line for each combination of the groups. */
export async function printReport(
  { allocation }: Repositories,
  range: { from: string; to: string },
  groups: readonly AllocationGroup[],
  format: 'csv' | 'jsonl',
  print: (line: string) => void,
): Promise<void> {
  const rows = await allocation.sum(range, groups, {}, ALL)
  if (format === 'csv') print(columnsOf(groups).join(','))
  for (const row of rows) {
    const record = toRecord(row)
    const fields = columnsOf(groups).map((column) => record[column] ?? null)
    print(format === 'csv' ? fields.map(csvField).join(',') : JSON.stringify(record))
  }
}

const FIGURES = [
  'calls',
  'estimated_calls',
  'unpriced_calls',
  'input_tokens',
  'output_tokens',
  'cache_read_tokens',
  'cache_write_tokens',
  'cost_usd',
]

const columnsOf = (groups: readonly AllocationGroup[]) => [
  ...groups.flatMap((group) => (hasId(group) ? [group, `${group}_id`] : [group])),
  ...FIGURES,
]

const hasId = (group: AllocationGroup) => group === 'team' || group === 'member'

function toRecord({ keys, ...row }: AllocationRow): Record<string, string | number | null> {
  const named = Object.entries(keys).flatMap(([group, { key, id }]) =>
    id === undefined
      ? [[group, key]]
      : [
          [group, key],
          [`${group}_id`, id],
        ],
  )
  return {
    ...Object.fromEntries(named),
    calls: row.calls,
    estimated_calls: row.estimatedCalls,
    unpriced_calls: row.unpricedCalls,
    input_tokens: row.inputTokens,
    output_tokens: row.outputTokens,
    cache_read_tokens: row.cacheReadTokens,
    cache_write_tokens: row.cacheWriteTokens,
    // As text, which is exact; JSON and spreadsheet numbers are not.
    cost_usd: toDecimalUsd(row.costNanoUsd),
  }
}
