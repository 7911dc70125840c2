import type { AppError } from '../../errors.ts'
import { html } from './html.ts'
import type { Page } from './layout.ts'

const TITLES: Record<number, string> = {
  400: 'That did not work',
  403: 'Not allowed',
  404: 'Nothing here',
  413: 'That was too much',
  429: 'One moment, please',
  503: 'Not available just now',
}

/** Only what the error says to its reader; never where it came from. */
export function errorPage({ status, message }: Pick<AppError, 'status' | 'message'>): Page {
  const title = TITLES[status] ?? (status >= 500 ? 'Something went wrong' : 'That did not work')
  return {
    title,
    body: html`<section class="card"><h1>${title}</h1><p>${message}</p>
<p><a href="/">To the start page</a></p></section>`,
  }
}
