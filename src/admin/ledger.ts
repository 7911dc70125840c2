import type { LedgerRow, Repositories } from '../repositories/index.ts'
import { csvField } from '../text/csv.ts'
import { toDecimalUsd } from '../text/usd-amount.ts'

type Print = (line: string) => void

const ROWS_PER_PAGE = 1000

/** @returns whether every sum matches its rows; prints each that does not. */
export async function verifyLedger({ ledgerAudit }: Repositories, print: Print): Promise<boolean> {
  const drift = await ledgerAudit.listDrift()
  for (const { what, where, recorded, recomputed } of drift) {
    print(`${what}: ${where}: recorded ${recorded}, recomputed ${recomputed}`)
  }
  const rows = await ledgerAudit.countRows()
  print(drift.length === 0 ? `ledger verified: ${rows} rows, no drift` : `${drift.length} drifts`)
  return drift.length === 0
}

/** Prints the rows of a range of UTC days, oldest first. */
export async function exportLedger(
  { ledger }: Repositories,
  range: { from: string; to: string },
  format: 'csv' | 'jsonl',
  print: Print,
): Promise<void> {
  if (format === 'csv') print(COLUMNS.join(','))
  for (let afterId = '0'; ; ) {
    const page = await ledger.list(range, afterId, ROWS_PER_PAGE)
    for (const row of page) print(format === 'csv' ? toCsv(row) : JSON.stringify(toRecord(row)))
    const last = page.at(-1)
    if (page.length < ROWS_PER_PAGE || !last) return
    afterId = last.id
  }
}

function toRecord(row: LedgerRow) {
  return {
    id: row.id,
    booked_on: row.bookedOn,
    created_at: row.createdAt.toISOString(),
    user_id: row.userId,
    username: row.username,
    conversation_id: row.conversationId,
    message_id: row.messageId,
    model: row.model,
    tag: row.tag,
    input_tokens: row.inputTokens,
    cache_write_5m_tokens: row.cacheWrite5mTokens,
    cache_write_1h_tokens: row.cacheWrite1hTokens,
    cache_read_tokens: row.cacheReadTokens,
    output_tokens: row.outputTokens,
    thinking_tokens: row.thinkingTokens,
    // As text, which is exact; JSON and spreadsheet numbers are not.
    cost_usd: row.costNanoUsd === null ? null : toDecimalUsd(row.costNanoUsd),
    estimated: row.estimated,
    request_id: row.requestId,
    source: row.source,
    call_id: row.callId,
    session_id: row.sessionId,
    client: row.client,
    session_label: row.sessionLabel,
    agent_id: row.agentId,
    request_class: row.requestClass,
    status: row.status,
    stop_reason: row.stopReason,
    speed: row.speed,
    geo: row.geo,
    tier: row.tier,
    web_searches: row.webSearches,
    max_tokens_asked: row.maxTokensAsked,
    max_tokens_sent: row.maxTokensSent,
    ms_to_first_byte: row.msToFirstByte,
    ms_total: row.msTotal,
    owner_id: row.ownerId,
    payer: row.payer,
    team_id: row.teamId,
    key_id: row.keyId,
    key_last_four: row.keyLastFour,
  }
}

const COLUMNS: readonly (keyof ReturnType<typeof toRecord>)[] = [
  'id',
  'booked_on',
  'created_at',
  'user_id',
  'username',
  'conversation_id',
  'message_id',
  'model',
  'tag',
  'input_tokens',
  'cache_write_5m_tokens',
  'cache_write_1h_tokens',
  'cache_read_tokens',
  'output_tokens',
  'thinking_tokens',
  'cost_usd',
  'estimated',
  'request_id',
  // Later ones at the end: a reader by position goes on as before.
  'source',
  'call_id',
  'session_id',
  'client',
  'session_label',
  'agent_id',
  'request_class',
  'status',
  'stop_reason',
  'speed',
  'geo',
  'tier',
  'web_searches',
  'max_tokens_asked',
  'max_tokens_sent',
  'ms_to_first_byte',
  'ms_total',
  'owner_id',
  'payer',
  'team_id',
  'key_id',
  'key_last_four',
]

function toCsv(row: LedgerRow): string {
  const record = toRecord(row)
  return COLUMNS.map((column) => csvField(record[column] ?? null)).join(',')
}
