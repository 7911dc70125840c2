/** Whose Anthropic key an answer was paid with. */
export type PaidBy = {
  /** `own`: the sender's. */
  kind: 'own' | 'team'
  /** Name of the team. */
  team?: string
  keyLastFour: string
}

/** `payingTeam`: the name of the team that paid; null: the sender did. */
export type StoredPayer = { keyLastFour: string | null; payingTeam: string | null }

/** Null when it is not known, or not the reader's to know. */
export function toPaidBy({ keyLastFour, payingTeam }: StoredPayer): PaidBy | null {
  if (keyLastFour === null) return null
  return payingTeam === null
    ? { kind: 'own', keyLastFour }
    : { kind: 'team', team: payingTeam, keyLastFour }
}
