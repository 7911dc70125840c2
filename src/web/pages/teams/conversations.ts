import { type Request, Router } from 'express'
import { queryText } from '../../kit/forms.ts'
import { notice } from '../../kit/notices.ts'
import { sendPage } from '../../kit/send-page.ts'
import { callerOf, csrfField, type PageContext } from '../../page-context.ts'
import { takesProof } from '../proof/routes.ts'
import { teamConversationsPage } from './conversations-view.ts'
import { idOf, uuidOf } from './team-id.ts'

const PATH = '/account/teams/:id/conversations'

/** What those who manage a team do about conversations that belong to it. */
export function teamConversationRoutes(context: PageContext): Router {
  const { services } = context
  const router = Router()
  const proof = takesProof(context)
  const conversationOf = (req: Request) =>
    uuidOf(req.params.conversation, 'The team has no such conversation.')

  router.get(PATH, async (req, res) => {
    const before = queryText(req, 'before')
    const from = before === '' ? null : uuidOf(before, 'The team has no such conversation.')
    const page = teamConversationsPage({
      ...(await services.teamConversations.list(callerOf(req), idOf(req), from)),
      csrfField: csrfField(req, res, context),
      notice: notice(PATH, req.query.done),
    })
    sendPage(req, res, page)
  })

  router.post(`${PATH}/:conversation/end-shares`, ...proof, async (req, res) => {
    await services.teamConversations.endSharing(callerOf(req), idOf(req), conversationOf(req))
    res.redirect(303, `/account/teams/${idOf(req)}/conversations?done=ended`)
  })

  router.post(`${PATH}/:conversation/delete`, ...proof, async (req, res) => {
    await services.teamConversations.delete(callerOf(req), idOf(req), conversationOf(req))
    res.redirect(303, `/account/teams/${idOf(req)}/conversations?done=deleted`)
  })

  return router
}
