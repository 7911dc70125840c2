import { type Request, type Response, Router } from 'express'
import { attempt, type Refusal, textField } from '../../kit/forms.ts'
import { sendPage } from '../../kit/send-page.ts'
import { csrfField, type PageContext, sendToSignIn } from '../../page-context.ts'
import { visitOf } from '../../session/browser-session.ts'
import { invitationOf } from './invitation.ts'
import { joinPage, unusablePage } from './view.ts'

/** /join: what an invitation says, and a button that accepts it. Looking changes nothing. */
export function joinRoutes(context: PageContext): Router {
  const { services } = context
  const router = Router()

  const show = async (req: Request, res: Response, token: string, refusal?: Refusal) => {
    const invitation = await services.invitations.look(token)
    if (invitation === undefined) return sendPage(req, res, unusablePage, { status: 404 })
    const page = joinPage({
      invitation,
      token,
      csrfField: csrfField(req, res, context),
      username: visitOf(req).caller?.username ?? null,
      errors: refusal?.errors ?? {},
    })
    sendPage(req, res, page, refusal)
  }

  router.get('/join', (req, res) => show(req, res, invitationOf(req.query.invitation) ?? ''))

  router.post('/join', async (req, res) => {
    const token = invitationOf(textField(req, 'invitation')) ?? ''
    const { caller } = visitOf(req)
    if (caller === null) return sendToSignIn(req, res)
    const result = await attempt(() => services.invitations.accept(caller, token)).catch(
      (error: unknown) => {
        if ((error as { code?: unknown }).code !== 'not_found') throw error
      },
    )
    if (result === undefined) return sendPage(req, res, unusablePage, { status: 404 })
    if ('refusal' in result) return show(req, res, token, result.refusal)
    res.redirect(303, `/account/teams/${result.done.teamId}?done=joined`)
  })

  return router
}
