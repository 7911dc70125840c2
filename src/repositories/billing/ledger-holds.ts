/** A disagreement between two records of the same value. */
export type Drift = { what: string; where: string; recorded: string; recomputed: string }

/** SQL for what runs holds: answers of conversations, and calls without one. */
export const HELD = `
  select coalesce(sender_id, user_id) as user_id, reservation from messages
  where status = 'running' and role = 'assistant' and reservation is not null
  union all
  select user_id, reservation from calls`
