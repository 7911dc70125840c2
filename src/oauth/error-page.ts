/** Data of the error page, which explains in the browser why a client cannot connect. */

export type OAuthError = {
  error: string
  description: string
  /** The client's redirect address, including the error. */
  onward?: URL
  /** The client's metadata document, when it could not be read. */
  document?: UnreadDocument | undefined
}

export type UnreadDocument = {
  /** Chosen by the client: has to be escaped. */
  url: string
  /** Null: documents are not accepted here. */
  reason: string | null
  /** Whether the metadata announce support for documents. */
  isAnnounced: boolean
}

export type ErrorPage = (error: OAuthError) => string
