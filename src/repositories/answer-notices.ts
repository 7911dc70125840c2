import { type Kysely, sql } from 'kysely'
import type { Schema } from '../database/schema.ts'

/** What replicas tell one another about answers: `finished <id>`, `cancel <id>`. */
export const ANSWERS_CHANNEL = 'claude_api_gateway_answers'

/** Within a transaction the others hear of it when it commits. */
export async function tellReplicas(
  db: Kysely<Schema>,
  kind: 'finished' | 'cancel',
  answerId: string,
): Promise<void> {
  await sql`select pg_notify(${ANSWERS_CHANNEL}, ${`${kind} ${answerId}`})`.execute(db)
}
