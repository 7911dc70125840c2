import { type Request, type RequestHandler, type Response, Router } from 'express'
import { networkOf } from '../../../http/rate-limit/network.ts'
import { positionOf } from '../../kit/forms.ts'
import { document, type Page } from '../../kit/layout.ts'
import { callerOf, csrfField, type PageContext, requireSignIn } from '../../page-context.ts'
import { visitOf } from '../../session/browser-session.ts'
import { crawlerOf } from './crawlers.ts'
import { isSharedPath, SHARED_PATTERN } from './paths.ts'
import { copyPage, noSuchLinkPage, sharedPage } from './view.ts'

/**
 * No search engine keeps the page, and none is kept from reading that. The secret is in the path: it
 * is in no referrer. So the page has no form, whose origin would be null (kit/page-security.ts).
 */
export const linkHeaders: RequestHandler = (_req, res, next) => {
  res.setHeader('X-Robots-Tag', 'noindex, nofollow, noarchive')
  res.setHeader('Referrer-Policy', 'no-referrer')
  next()
}

/** /shared/:token: what a link shows, and a copy of it. */
export function sharedRoutes(context: PageContext): Router {
  const { services } = context
  const router = Router()

  router.get(SHARED_PATTERN, linkHeaders, async (req, res) => {
    const { caller } = visitOf(req)
    const after = positionOf(req, 'after')
    const isCounted = req.method === 'GET' && after === undefined
    const visit = { after, isCounted, crawler: crawlerIn(req) }
    const page = await services.snapshots.visit(tokenOf(req), caller, visit)
    if (page === undefined) return sendPublic(res, noSuchLinkPage(signInPathOf(req)), 404)
    sendPublic(res, await sharedPage(page, pathOf(req)))
  })

  // Of every link that there could be: signing in tells nothing about this one.
  router.get(`${SHARED_PATTERN}/copy`, linkHeaders, requireSignIn, async (req, res) => {
    const visited = await services.snapshots.visit(tokenOf(req), callerOf(req), {
      isCounted: false,
    })
    if (visited === undefined) return sendPublic(res, noSuchLinkPage(null), 404)
    res.setHeader('Referrer-Policy', 'strict-origin')
    sendPublic(res, copyPage(pathOf(req), csrfField(req, res, context)))
  })

  router.post(`${SHARED_PATTERN}/copy`, linkHeaders, requireSignIn, async (req, res) => {
    const id = await services.linkCopies.make(callerOf(req), tokenOf(req))
    res.redirect(303, `/account/conversations/${id}`)
  })

  return router
}

/** Whose program asks, if that is known. */
function crawlerIn(req: Request) {
  const name = crawlerOf(req.headers['user-agent'])
  return name === undefined ? undefined : { name, network: networkOf(req) }
}

const tokenOf = (req: Request) => String(req.params.token)

const pathOf = (req: Request) => `/shared/${encodeURIComponent(tokenOf(req))}`

function signInPathOf(req: Request): string | null {
  if (visitOf(req).caller) return null
  const path = pathOf(req)
  return isSharedPath(path) ? `/sign-in?return_to=${encodeURIComponent(path)}` : '/sign-in'
}

/** Without the account's menu, whose form would be sent from here, and the same for all visitors. */
function sendPublic(res: Response, page: Page, status = 200): void {
  res.status(status).type('html').send(document(page, null).toString())
}
