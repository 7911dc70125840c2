import type { Request, Response } from 'express'
import { peekVisit } from '../session/browser-session.ts'
import { CSRF_FIELD, tokenOfSession } from '../session/csrf.ts'
import { hidden } from './form.ts'
import type { Refusal } from './forms.ts'
import { document, type Page } from './layout.ts'

/** Sends a page in its layout; after a refused form, with the refusal's status. */
export function sendPage(
  req: Request,
  res: Response,
  page: Page,
  { status, retryAfterSeconds }: Pick<Refusal, 'status' | 'retryAfterSeconds'> = { status: 200 },
): void {
  if (retryAfterSeconds !== undefined) res.setHeader('Retry-After', String(retryAfterSeconds))
  const { caller, sessionSecret } = peekVisit(req) ?? { caller: null, sessionSecret: null }
  const visitor =
    caller && sessionSecret !== null
      ? {
          username: caller.username,
          isAuditor: caller.isAuditor,
          csrfField: hidden(CSRF_FIELD, tokenOfSession(sessionSecret)),
        }
      : null
  res
    .status(status)
    .type('html')
    .send(document(status < 400 ? page : failed(page), visitor).toString())
}

/** Screen readers read the title first. */
const failed = (page: Page): Page => ({ ...page, title: `Error: ${page.title}` })
