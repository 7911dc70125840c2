import { Router } from 'express'
import { sendPage } from '../../../kit/send-page.ts'
import { callerOf, csrfField, type PageContext } from '../../../page-context.ts'
import { conversationIdOf } from '../conversation-id.ts'
import { deletionPage } from './view.ts'

/** /account/conversations/:id/delete: says what goes, and deletes it for ever. */
export function deletionRoutes(context: PageContext): Router {
  const { services } = context
  const router = Router()

  router.get('/account/conversations/:id/delete', async (req, res) => {
    const caller = callerOf(req)
    const id = conversationIdOf(req)
    const counts = await services.conversationDeletion.foresee(caller, id)
    const { title } = await services.conversationHeads.get(caller, id)
    sendPage(req, res, deletionPage({ csrfField: csrfField(req, res, context), id, title, counts }))
  })

  router.post('/account/conversations/:id/delete', async (req, res) => {
    await services.conversationDeletion.delete(callerOf(req), conversationIdOf(req))
    res.redirect(303, '/account/conversations?done=deleted')
  })

  return router
}
