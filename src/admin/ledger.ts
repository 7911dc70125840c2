import type { LedgerRow, Repositories } from '../repositories/index.ts'

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
    cost_usd: row.costNanoUsd === null ? null : toDecimalUsd(row.costNanoUsd),
    estimated: row.estimated,
    request_id: row.requestId,
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
]

function toCsv(row: LedgerRow): string {
  const record = toRecord(row)
  return COLUMNS.map((column) => csvField(record[column])).join(',')
}

/**
 * RFC 4180. A text that a spreadsheet would run as a formula gets an apostrophe in front, and `;`,
 * the other separator of spreadsheets, is quoted too: tags and model names come from users
 * (OWASP: CSV Injection).
 */
function csvField(value: string | number | null): string {
  const text = value === null ? '' : String(value)
  const harmless =
    typeof value === 'string' && /^[=+\-@\t\r\n＝＋－＠]/.test(text) ? `'${text}` : text
  return /[",;\n\r]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless
}

/** As text, which is exact; JSON and spreadsheet numbers are not. */
function toDecimalUsd(nanoUsd: string): string {
  const digits = nanoUsd.padStart(10, '0')
  return `${digits.slice(0, -9)}.${digits.slice(-9)}`
}
