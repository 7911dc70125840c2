import type { Request, Response } from 'express'
import { peekVisit } from '../../browser-session.ts'
import { CSRF_FIELD, tokenOfSession } from '../../csrf.ts'
import { hidden } from '../../views/form.ts'
import { document, type Page } from '../../views/layout.ts'
import type { Refusal } from './forms.ts'

/** Sends a page within its frame; after a refused form with that refusal's status. */
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
          csrfField: hidden(CSRF_FIELD, tokenOfSession(sessionSecret)),
        }
      : null
  res.status(status).type('html').send(document(page, visitor).toString())
}
