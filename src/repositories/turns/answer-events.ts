import { type Kysely, sql } from 'kysely'
import type { Schema } from '../../database/schema.ts'

/** What replicas tell one another about answers: `finished <id>`, `cancel <id>`. */
export const ANSWERS_CHANNEL = 'claude_api_gateway_answers'

export class AnswerNoticeRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  /**
   * Never within a transaction that writes: all that notify commit one after the other, and each
   * would keep the others waiting while it reaches the disk (PostgreSQL's async.c: PreCommit_Notify).
   */
  async tell(kind: 'finished' | 'cancel', answerIds: readonly string[]): Promise<void> {
    const payloads = JSON.stringify(answerIds.map((id) => `${kind} ${id}`))
    await sql`select pg_notify(${ANSWERS_CHANNEL}, payload)
      from jsonb_array_elements_text(${payloads}::jsonb) as payload`.execute(this.#db)
  }
}
