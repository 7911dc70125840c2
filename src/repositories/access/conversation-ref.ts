/** What opens a conversation. Only statements that have checked the access make one. */

declare const checked: unique symbol

export type ConversationRef = Readonly<{
  id: string
  /** The user in the bindings of its sealed values: its first owner. */
  sealedFor: string
  /** Wrapped. */
  dataKey: Buffer
  [checked]: true
}>

/** The columns of {@link toConversationRef}, beside the id. */
export const refColumns = (conversation: string) =>
  `coalesce(${conversation}.sealed_for, ${conversation}.user_id) as sealed_for, ${conversation}.data_key`

/** For a row that the database has just returned, and for nothing else. */
export const toConversationRef = (row: { id: string; sealedFor: string; dataKey: Buffer }) =>
  ({ id: row.id, sealedFor: row.sealedFor, dataKey: row.dataKey }) as ConversationRef
