import { errorPage } from './error-page.ts'
import { html } from './html.ts'
import { document } from './layout.ts'

type OAuthError = {
  error: string
  description: string
  /** Of the client, with the error in it. */
  onward?: URL
}

/** What helps, where it is known; the rest is for whoever made the client. */
const ADVICE: Record<string, string> = {
  invalid_client:
    'This gateway does not know the app, or no longer: one that was never approved is forgotten after a day. Remove the server in your app and add it again.',
  invalid_redirect_uri:
    'The app asks to be sent to another address than it registered. Remove the server in your app and add it again.',
}

/** For somebody whom a client sent here with a request that cannot be served. */
export function oauthErrorPage({ error, description, onward }: OAuthError): string {
  const advice = ADVICE[error] === undefined ? '' : `. ${ADVICE[error]}`
  const page = errorPage({
    title: 'Cannot connect',
    message: `${description} (${error})${advice}`,
  })
  const body = onward === undefined ? page.body : html`${page.body}${origin(onward)}`
  return document({ ...page, body }, null).toString()
}

/** A link to a site; an app's own address is only named. */
function origin({ protocol, host, href }: URL) {
  const isSite = protocol === 'https:' || protocol === 'http:'
  return html`<p>You were sent here by <strong>${isSite ? host : `${protocol}//`}</strong>. Nobody has checked who that is.
${isSite && html`If you know it: <a href="${href}" rel="noreferrer">go back and tell it</a>.`}</p>`
}
