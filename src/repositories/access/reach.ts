/**
 * What a session may act on, as every statement that acts for one says it.
 *
 * Without the permission to read conversations a session reaches those that it began, and to it
 * there are no others. The row of `sessions` has the last word: a token can name fewer permissions,
 * and a connection may have been approved anew, with fewer, since its request came.
 */

/** A session that asks. */
export type Reach = {
  userId: string
  sessionId: string
  /** Whether its token names the permission to read all conversations of its user. */
  readsAll: boolean
}

/** @param session alias of `sessions`. */
export const isLive = (session: string) =>
  `${session}.revoked_at is null and ${session}.expires_at > now()`

/** @param session alias of `sessions`. */
export const mayDo = (session: string, scope: string) =>
  `(${session}.scopes is null or '${scope}' = any (${session}.scopes))`

/**
 * Of a conversation that is known to be the user's.
 *
 * @param readsAll SQL for {@link Reach}'s.
 */
export const isReached = (conversation: string, session: string, readsAll: string) =>
  `(${conversation}.session_id = ${session}.id or (${readsAll} and ${mayDo(session, 'conversations:read')}))`
