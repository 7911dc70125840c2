import express, { type RequestHandler, Router } from 'express'
import { MCP_PATH, OPEN_MCP_PATH } from '../network/mcp-addresses.ts'
import { SECTIONS } from './kit/layout.ts'
import { notice } from './kit/notices.ts'
import { pageSecurity } from './kit/page-security.ts'
import { sendPage } from './kit/send-page.ts'
import { STYLESHEET, STYLESHEET_PATH } from './kit/stylesheet.ts'
import { type PageContext, requireSignIn } from './page-context.ts'
import { accountRoutes } from './pages/account/routes.ts'
import { connectRoutes } from './pages/connect/routes.ts'
import { dataRoutes } from './pages/data/routes.ts'
import { homePage } from './pages/home/view.ts'
import { keyRoutes } from './pages/key/routes.ts'
import { mcpAddressPage } from './pages/mcp-address/view.ts'
import { passwordRoutes } from './pages/password/routes.ts'
import { sessionRoutes } from './pages/sessions/routes.ts'
import { signInRoutes } from './pages/sign-in/routes.ts'
import { signUpRoutes } from './pages/sign-up/routes.ts'
import { tokenRoutes } from './pages/tokens/routes.ts'
import { usageRoutes } from './pages/usage/routes.ts'
import { identifyVisitor, visitOf } from './session/browser-session.ts'
import { createPageCookies } from './session/cookies.ts'
import { refuseForgedForms } from './session/csrf.ts'

type PageRouteOptions = Omit<PageContext, 'cookies'> & {
  /** Answers 403 to a foreign Host name (DNS rebinding). */
  hostGuard: RequestHandler
}

const MAX_FORM_BYTES = 16 * 1024
const PAGES = ['/sign-up', '/sign-in', '/sign-out', '/account', '/connect']
const MEMBERS_PAGES = ['/account', '/connect']

/** The page paths that the request log names. */
export const PAGE_PATHS = ['/', '/sign-up', '/sign-in', '/sign-out', ...Object.keys(SECTIONS)]

/** The routes of the pages. Each request passes the middleware from top to bottom. */
export function createPageRoutes(options: PageRouteOptions): Router {
  const { services, origins, limiters, hostGuard } = options
  const cookies = createPageCookies(origins.public)
  const context: PageContext = { ...options, cookies }
  const arrival = [
    hostGuard,
    pageSecurity,
    // Parsed before the session is looked up: it may end while a slow form arrives.
    express.urlencoded({ extended: false, limit: MAX_FORM_BYTES, parameterLimit: 50 }),
    identifyVisitor(services.sessions, cookies.session),
    ...limiters.requests,
  ]
  const router = Router()
  router.get(STYLESHEET_PATH, (_req, res) => {
    res.setHeader('Cache-Control', 'public, max-age=31536000, immutable')
    res.type('css').send(STYLESHEET)
  })
  router.get('/', ...arrival, home(context))
  router.get([MCP_PATH, OPEN_MCP_PATH], ...arrival, mcpAddress(context))
  router.use(PAGES, ...arrival)
  router.use(MEMBERS_PAGES, requireSignIn)
  router.use(PAGES, refuseForgedForms(cookies.csrf, origins.public))
  router.use(signUpRoutes(context))
  router.use(signInRoutes(context))
  router.use(connectRoutes(context))
  router.use(accountRoutes(context))
  router.use(keyRoutes(context))
  router.use(sessionRoutes(context))
  router.use(tokenRoutes(context))
  router.use(usageRoutes(context))
  router.use(passwordRoutes(context))
  router.use(dataRoutes(context))
  return router
}

/** Requests of MCP clients were handled by earlier routes. */
const mcpAddress =
  ({ origins, isOpenMcpServed }: PageContext): RequestHandler =>
  (req, res) => {
    const origin = origins.askedBy(req)
    const openUrl = isOpenMcpServed ? `${origin}${OPEN_MCP_PATH}` : null
    res.vary('Accept')
    sendPage(req, res, mcpAddressPage({ mcpUrl: `${origin}${MCP_PATH}`, openUrl }))
  }

const home =
  ({ origins, registrationOpen }: PageContext): RequestHandler =>
  (req, res) => {
    const done = notice(req.path, req.query.done)
    const isSignedIn = visitOf(req).caller !== null
    sendPage(
      req,
      res,
      homePage({
        publicUrl: origins.askedBy(req),
        isSignedIn,
        registrationOpen,
        ...(done ? { notice: done } : {}),
      }),
    )
  }
