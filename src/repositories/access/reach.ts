/**
 * SQL for what a session may act on, shared by every statement that acts for one.
 *
 * Without the scope to read conversations a session reaches only those that it began. The row of
 * `sessions` is authoritative: a token can name fewer scopes, and a connection may have been
 * approved again, with fewer, since its request came.
 */

/** The session that asks. */
export type Reach = {
  userId: string
  sessionId: string
  /** Whether its token has the scope to read all conversations of its user. */
  readsAll: boolean
}

/** @param session alias of `sessions`. */
export const isLive = (session: string) =>
  `${session}.revoked_at is null and ${session}.expires_at > now()`

/** @param session alias of `sessions`. */
export const mayDo = (session: string, scope: string) =>
  `(${session}.scopes is null or '${scope}' = any (${session}.scopes))`

/**
 * Whether a session has books of its own: every connection, whose limit may be set later, and any
 * other with a limit. @param session alias of `sessions`; of a left join too.
 */
export const isCapped = (session: string) =>
  `coalesce(${session}.kind = 'connection' or ${session}.limit_nano_usd is not null, false)`

/**
 * For a conversation that is known to be the user's.
 *
 * @param readsAll SQL for {@link Reach.readsAll}.
 */
export const isReached = (conversation: string, session: string, readsAll: string) =>
  `(${conversation}.session_id = ${session}.id or (${readsAll} and ${mayDo(session, 'conversations:read')}))`

/** Whether a session may spend the money of a team: connections and personal tokens only if allowed. */
export const maySpend = (session: string, team: string) =>
  `(${session}.kind in ('password', 'browser') or ${team} = any (${session}.purses))`
