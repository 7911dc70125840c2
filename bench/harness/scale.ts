/** How much of everything a run does. */

export type Scale = {
  isQuick: boolean
  rounds: number
  roundSeconds: number
  warmUpSeconds: number
  /** Of the cases that are run at several. */
  connections: readonly number[]
  /** Users of the gateway that the load is spread over. */
  users: number
  /** Conversations of each of them, each with 10 messages. */
  conversationsPerUser: number
  manyConversations: number
  manyLedgerRows: number
  manyAuditEvents: number
  /** Answers streaming at once. */
  streams: number
  /** How long each of them takes. */
  streamSeconds: number
  /** Of a thousand sends each, one after the other. */
  enduranceSteps: number
}

const FULL: Scale = {
  isQuick: false,
  rounds: 5,
  roundSeconds: 2,
  warmUpSeconds: 4,
  connections: [16, 64],
  users: 64,
  conversationsPerUser: 100,
  manyConversations: 1_000_000,
  manyLedgerRows: 1_000_000,
  manyAuditEvents: 1_000_000,
  streams: 1000,
  streamSeconds: 10,
  enduranceSteps: 20,
}

/** Shows that everything works, and roughly where it stands; its figures are not for publishing. */
const QUICK: Scale = {
  ...FULL,
  isQuick: true,
  rounds: 2,
  roundSeconds: 1,
  warmUpSeconds: 0.7,
  connections: [16],
  users: 16,
  conversationsPerUser: 60,
  manyConversations: 100_000,
  manyLedgerRows: 100_000,
  manyAuditEvents: 100_000,
  streams: 300,
  streamSeconds: 4,
  enduranceSteps: 4,
}

export const scaleOf = (isQuick: boolean, rounds: number | undefined): Scale => ({
  ...(isQuick ? QUICK : FULL),
  ...(rounds === undefined ? {} : { rounds }),
})
