/** What the page says that tells somebody in a browser why a client cannot connect. */

export type OAuthError = {
  error: string
  description: string
  /** Of the client, with the error in it. */
  onward?: URL
  /** By which the client introduced itself, when that was in vain. */
  document?: UnreadDocument | undefined
}

export type UnreadDocument = {
  /** As the client gave it: to be escaped. */
  url: string
  /** Null: none is taken here. */
  reason: string | null
  /** Whether clients are told that they may have one. */
  isAnnounced: boolean
}

export type ErrorPage = (error: OAuthError) => string
