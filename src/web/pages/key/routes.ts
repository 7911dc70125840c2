import { type Request, type Response, Router } from 'express'
import { AnthropicApiKey } from '../../../services/access/field-rules.ts'
import { EMPTY_FORM, type FormErrors } from '../../kit/form.ts'
import { attempt, brokenRules, type Refusal, textField } from '../../kit/forms.ts'
import { notice } from '../../kit/notices.ts'
import { knownReturnTo } from '../../kit/return-to.ts'
import { sendPage } from '../../kit/send-page.ts'
import { callerOf, csrfField, type PageContext } from '../../page-context.ts'
import { takesProof } from '../proof/routes.ts'
import { keyPage, wrongLinkPage } from './view.ts'

const LINK = /^[\w-]{1,128}$/
const BESIDE = { invalid_api_key: 'key' } as const

/**
 * /account/key: the Anthropic key. A one-time link from a tool error leads here; it works only for
 * its own user, so that a key is not stored in another user's account.
 */
export function keyRoutes(context: PageContext): Router {
  const { services, limiters } = context
  const router = Router()

  const show = async (req: Request, res: Response, refusal?: Refusal) => {
    const caller = callerOf(req)
    const errors: FormErrors = refusal?.errors ?? {}
    const page = keyPage({
      csrfField: csrfField(req, res, context),
      status: await services.accounts.keyStatus(caller.userId),
      form: refusal ? { values: {}, errors } : EMPTY_FORM,
      notice: notice(req.path, req.query.done),
      link: linkOf(req),
      onward: onwardFrom(req),
    })
    sendPage(req, res, page, refusal)
  }

  router.use('/account/key', async (req, res, next) => {
    const { userId, username } = callerOf(req)
    const link = linkOf(req)
    if (link === undefined || (await services.keyLinks.belongsTo(link, userId))) return next()
    sendPage(req, res, wrongLinkPage(username), { status: 403 })
  })

  router.get('/account/key', (req, res) => show(req, res))

  // Rate-limited like passwords: the form could be used to test stolen keys.
  router.post('/account/key', ...takesProof(context), ...limiters.signIns, async (req, res) => {
    const apiKey = textField(req, 'key').trim()
    const broken = brokenRules({ key: AnthropicApiKey }, { key: apiKey })
    if (broken) return show(req, res, broken)
    const link = linkOf(req)
    const store = () => services.accounts.replaceKey(callerOf(req), apiKey, link)
    const result = await attempt(store, BESIDE)
    if ('refusal' in result) return show(req, res, result.refusal)
    const done = link === undefined ? 'key-saved' : 'key-saved-by-link'
    res.redirect(303, onwardFrom(req)?.returnTo ?? `/account/key?done=${done}`)
  })

  router.post('/account/key/remove', async (req, res) => {
    await services.accounts.removeKey(callerOf(req))
    res.redirect(303, '/account/key?done=key-removed')
  })

  return router
}

/** Malformed text counts as a link without an owner. */
function linkOf(req: Request): string | undefined {
  const value: unknown = req.query.link ?? req.body?.link
  if (value === undefined || value === '') return undefined
  return typeof value === 'string' && LINK.test(value) ? value : 'malformed'
}

function onwardFrom(req: Request) {
  const returnTo = knownReturnTo(req.query.return_to ?? req.body?.return_to)
  if (returnTo === undefined) return undefined
  const isConsent = returnTo.startsWith('/connect/') && !returnTo.includes('?')
  return { returnTo, skipTo: isConsent ? `${returnTo}?key=later` : returnTo }
}
