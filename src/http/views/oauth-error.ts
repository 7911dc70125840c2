import { errorPage } from './error-page.ts'
import { html } from './html.ts'
import { document } from './layout.ts'

type OAuthError = {
  error: string
  description: string
  /** Of the client, with the error in it. */
  onward?: URL
}

/** For somebody whom a client sent here with a request that cannot be served. */
export function oauthErrorPage({ error, description, onward }: OAuthError): string {
  const page = errorPage({ title: 'Cannot connect', message: `${description} (${error})` })
  const body = onward === undefined ? page.body : html`${page.body}${origin(onward)}`
  return document({ ...page, body }, null).toString()
}

/** A link to a site; an app's own address is only named. */
function origin({ protocol, host, href }: URL) {
  const isSite = protocol === 'https:' || protocol === 'http:'
  return html`<p>You were sent here by <strong>${isSite ? host : `${protocol}//`}</strong>. Nobody has checked who that is.
${isSite && html`If you know it: <a href="${href}" rel="noreferrer">go back and tell it</a>.`}</p>`
}
