import type { OAuthError, UnreadDocument } from '../../../oauth/error-page.ts'
import { errorPage } from '../../kit/error-page.ts'
import { html } from '../../kit/html.ts'
import { document } from '../../kit/layout.ts'

/** Advice to the user, where known; the rest is for the client's developer. */
const ADVICE: Record<string, string> = {
  invalid_client:
    'This gateway does not know the app, or no longer: one that was never approved is forgotten after a day. Remove the server in your app and add it again.',
  invalid_redirect_uri:
    'The app asks to be sent to another address than it registered. Remove the server in your app and add it again.',
}

/** Shown when a client sends a browser here with an invalid request. */
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
  return `${failed} Try again. If it stays so, ask the operator of the gateway to check how it reaches the internet (HTTPS_PROXY) or to set CLIENT_ID_DOCUMENTS=off, so that apps register instead; then ${AGAIN}.`
}

/** A link for a website; an app's own scheme is shown as text. */
function origin({ protocol, host, href }: URL) {
  const isSite = protocol === 'https:' || protocol === 'http:'
  return html`<p>You were sent here by <strong>${isSite ? host : `${protocol}//`}</strong>. The gateway has not checked who that is.
${isSite && html`If you know it: <a href="${href}" rel="noreferrer">go back and tell it</a>.`}</p>`
}
