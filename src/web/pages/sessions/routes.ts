import { type Request, Router } from 'express'
import { z } from 'zod'
import { AppError } from '../../../errors.ts'
import type { Services } from '../../../services/index.ts'
import { notice } from '../../kit/notices.ts'
import { sendPage } from '../../kit/send-page.ts'
import { callerOf, csrfField, type PageContext } from '../../page-context.ts'
import { sessionsPage } from './view.ts'

/** /account/connections: lists and ends the user's connections and sessions. */
export function sessionRoutes(context: PageContext): Router {
  const { services, cookies } = context
  const router = Router()

  router.get('/account/connections', async (req, res) => {
    const sessions = await services.sessions.list(callerOf(req))
    const page = sessionsPage({
      csrfField: csrfField(req, res, context),
      notice: notice(req.path, req.query.done),
      sessions,
    })
    sendPage(req, res, page)
  })

  router.post('/account/connections/:id/end', async (req, res) => {
    const { isOwn } = await endSession(req, services)
    res.redirect(303, isOwn ? '/sign-in?done=signed-out' : '/account/connections?done=ended')
  })

  router.post('/account/connections/end-all', async (req, res) => {
    await services.sessions.revokeAll(callerOf(req))
    cookies.session.clear(res)
    res.redirect(303, '/sign-in?done=all-ended')
  })

  return router
}

/** @throws AppError not_found for an ended session, or another user's; unauthenticated. */
export async function endSession(req: Request, { sessions }: Pick<Services, 'sessions'>) {
  const caller = callerOf(req)
  const id = z.uuid().safeParse(req.params.id)
  if (!id.success || !(await sessions.revokeOne(caller, id.data))) {
    throw new AppError('not_found', 'There is no such session. It may have ended already.')
  }
  return { isOwn: id.data === caller.sessionId }
}
