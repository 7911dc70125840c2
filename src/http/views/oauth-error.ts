import { errorPage } from './error-page.ts'
import { html } from './html.ts'
import { document } from './layout.ts'

type OAuthError = {
  error: string
  description: string
  /** Of the client, with the error: a web address. */
  onward?: string
}

/** For somebody whom a client sent here with a request that cannot be served. */
export function oauthErrorPage({ error, description, onward }: OAuthError): string {
  const page = errorPage({ title: 'Cannot connect', message: `${description} (${error})` })
  const body = onward === undefined ? page.body : html`${page.body}${wayOn(onward)}`
  return document({ ...page, body }, null).toString()
}

const wayOn = (url: string) => html`
<p>The app that sent you here is at <strong>${new URL(url).host}</strong>. Nobody has checked who that is. If you know it: <a href="${url}" rel="noreferrer">go back and tell it</a>.</p>`
