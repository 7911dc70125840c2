import { type Kysely, sql } from 'kysely'
import type { Schema } from '../../database/schema.ts'

/** Notifications between replicas about answers: `finished <id>`, `cancel <id>`. */
export const ANSWERS_CHANNEL = 'claude_api_gateway_answers'

export class AnswerNoticeRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  /**
   * Never call it in a transaction that writes: commits with NOTIFY are serialized, and each would
   * make the others wait for its disk flush (PostgreSQL's async.c: PreCommit_Notify).
   */
  async tell(kind: 'finished' | 'cancel', answerIds: readonly string[]): Promise<void> {
    const payloads = JSON.stringify(answerIds.map((id) => `${kind} ${id}`))
    await sql`select pg_notify(${ANSWERS_CHANNEL}, payload)
      from jsonb_array_elements_text(${payloads}::jsonb) as payload`.execute(this.#db)
  }
}
