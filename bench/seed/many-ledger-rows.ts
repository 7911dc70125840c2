import { type Kysely, sql } from 'kysely'
import type { Schema } from '../../src/database/schema.ts'
import { MODEL } from '../servers/claude-answer.ts'

const DAYS = 30
export const INPUT_TOKENS_EACH = 400
export const OUTPUT_TOKENS_EACH = 100

/**
 * Booked calls of one user, evenly over the last 30 days, in the ledger alone: whoever keeps sums
 * of the ledger elsewhere has to be told of them here.
 */
export async function seedLedger(db: Kysely<Schema>, userId: string, rows: number): Promise<void> {
  await sql`
    insert into ledger (user_id, conversation_id, message_id, model, input_tokens,
      cache_write_5m_tokens, cache_write_1h_tokens, cache_read_tokens, output_tokens,
      thinking_tokens, cost_nano_usd, request_id, tag, created_at, booked_on)
    select ${userId}::uuid, md5((n / 20)::text || ${userId})::uuid, gen_random_uuid(), ${MODEL},
      ${INPUT_TOKENS_EACH}, 0, 0, 0, ${OUTPUT_TOKENS_EACH}, 0, 2700000, 'req_seeded',
      'tag ' || n % 7, at, (at at time zone 'utc')::date
    from generate_series(0, ${rows}::int - 1) as n,
      lateral (select now() - make_interval(days => n % ${DAYS}::int) as at) as times`.execute(db)
}
