import { type Html, html } from './html.ts'
import type { Page } from './layout.ts'

const TITLES: Record<number, string> = {
  403: 'Not allowed',
  404: 'Nothing here',
  413: 'That was too much',
  429: 'One moment, please',
  503: 'Not available just now',
}

export function titleOf(status: number): string {
  return TITLES[status] ?? (status >= 500 ? 'Something went wrong' : 'That did not work')
}

type ErrorPage = {
  title: string
  message: string
  isSignedIn?: boolean
  /** What the visitor typed. */
  unsent?: Html | undefined
}

/** Shows only the public message of an error, never its cause. */
export const errorPage = ({ title, message, isSignedIn = false, unsent }: ErrorPage): Page => ({
  title,
  body: html`<section class="card"><h1>${title}</h1><p>${message}</p>
<p>${isSignedIn ? html`<a href="/account">To your account</a>` : html`<a href="/">To the start page</a>`}</p></section>${unsent}`,
})
