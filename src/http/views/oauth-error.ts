import type { OAuthError, UnreadDocument } from '../../oauth/error-page.ts'
import { errorPage } from './error-page.ts'
import { html } from './html.ts'
import { document } from './layout.ts'

/** What helps, where it is known; the rest is for whoever made the client. */
const ADVICE: Record<string, string> = {
  invalid_client:
    'This gateway does not know the app, or no longer: one that was never approved is forgotten after a day. Remove the server in your app and add it again.',
  invalid_redirect_uri:
    'The app asks to be sent to another address than it registered. Remove the server in your app and add it again.',
}

/** For somebody whom a client sent here with a request that cannot be served. */
export function oauthErrorPage({
  error,
  description,
  onward,
  document: unread,
}: OAuthError): string {
  const advice = ADVICE[error] === undefined ? '' : `. ${ADVICE[error]}`
  const message = unread ? ofDocument(unread) : `${description} (${error})${advice}`
  const page = errorPage({ title: 'Cannot connect', message })
  const body = onward === undefined ? page.body : html`${page.body}${origin(onward)}`
  return document({ ...page, body }, null).toString()
}

const AGAIN = 'remove the server in your app and add it again'

function ofDocument({ url, reason, isAnnounced }: UnreadDocument): string {
  const introduced = `The app introduces itself by a document at ${url}, which this gateway`
  if (reason === null) return `${introduced} does not read: here apps register. To do so, ${AGAIN}.`
  const failed = `${introduced} could not fetch: ${reason}.`
  if (!isAnnounced) return `${failed} Apps are asked to register here instead: ${AGAIN}.`
  return `${failed} Try again. If it stays so, ask the operator of the gateway to look at its way to the internet (HTTPS_PROXY) or to set CLIENT_ID_DOCUMENTS=off, so that apps register instead; then ${AGAIN}.`
}

/** A link to a site; an app's own address is only named. */
function origin({ protocol, host, href }: URL) {
  const isSite = protocol === 'https:' || protocol === 'http:'
  return html`<p>You were sent here by <strong>${isSite ? host : `${protocol}//`}</strong>. Nobody has checked who that is.
${isSite && html`If you know it: <a href="${href}" rel="noreferrer">go back and tell it</a>.`}</p>`
}
