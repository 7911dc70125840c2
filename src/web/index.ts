import express, { type RequestHandler, Router } from 'express'
import type { BodyAdmission } from '../http/bodies/admit-body.ts'
import { IMPORT_PATH } from '../http/routes/import.ts'
import { MCP_PATH, OPEN_MCP_PATH } from '../network/mcp-addresses.ts'
import { SHARED_PATH } from '../services/conversations/sharing/links.ts'
import { ADMIN_SECTIONS, SECTIONS } from './kit/layout.ts'
import { notice } from './kit/notices.ts'
import { pageSecurity } from './kit/page-security.ts'
import { sendPage } from './kit/send-page.ts'
import { STYLESHEET, STYLESHEET_PATH } from './kit/stylesheet.ts'
import { messageArrival } from './message-arrival.ts'
import { type PageContext, requireSignIn } from './page-context.ts'
import { accountRoutes } from './pages/account/routes.ts'
import { adminRoutes } from './pages/admin/routes.ts'
import { connectRoutes } from './pages/connect/routes.ts'
import { conversationRoutes } from './pages/conversations/routes.ts'
import { MESSAGE_FORMS } from './pages/conversations/sending/message-forms.ts'
import { dataRoutes } from './pages/data/routes.ts'
import { homePage } from './pages/home/view.ts'
import { importPageRoutes } from './pages/import/routes.ts'
import { readUpload } from './pages/import/uploaded-file.ts'
import { joinRoutes } from './pages/join/routes.ts'
import { keyRoutes } from './pages/key/routes.ts'
import { linkRoutes } from './pages/links/routes.ts'
import { mcpAddressPage } from './pages/mcp-address/view.ts'
import { passwordRoutes } from './pages/password/routes.ts'
import { requestRoutes } from './pages/requests/routes.ts'
import { resetRoutes } from './pages/reset/routes.ts'
import { sessionRoutes } from './pages/sessions/routes.ts'
import { LOGGED_PATTERNS } from './pages/shared/paths.ts'
import { linkHeaders, sharedRoutes } from './pages/shared/routes.ts'
import { shareRoutes } from './pages/shares/routes.ts'
import { signInRoutes } from './pages/sign-in/routes.ts'
import { signUpRoutes } from './pages/sign-up/routes.ts'
import { teamsRoutes } from './pages/teams/routes.ts'
import { tokenRoutes } from './pages/tokens/routes.ts'
import { usageRoutes } from './pages/usage/routes.ts'
import { identifyVisitor, visitOf } from './session/browser-session.ts'
import { createPageCookies } from './session/cookies.ts'
import { refuseForgedForms } from './session/csrf.ts'

type PageRouteOptions = Omit<PageContext, 'cookies'> & {
  /** Answers 403 to a foreign Host name (DNS rebinding). */
  hostGuard: RequestHandler
  admission: BodyAdmission
  /** Of the forms with a message; all others are small. */
  maxBodyBytes: number
}

const MAX_FORM_BYTES = 16 * 1024
const PAGES = [
  '/sign-up',
  '/sign-in',
  '/sign-out',
  '/account',
  '/connect',
  '/join',
  '/reset',
  '/admin',
  SHARED_PATH,
]
const MEMBERS_PAGES = ['/account', '/connect', '/admin']

/** The page paths that the request log names. */
export const PAGE_PATHS = [
  '/',
  '/sign-up',
  '/sign-in',
  '/sign-out',
  '/account/links',
  '/account/shares',
  '/account/conversations/search',
  '/account/requests',
  '/join',
  '/reset',
  ...Object.keys(ADMIN_SECTIONS),
  ...Object.keys(SECTIONS),
]

/** The same for paths with a secret, by what is logged of them. */
export const PAGE_PATTERNS = LOGGED_PATTERNS

/** The routes of the pages. Each request passes the middleware from top to bottom. */
export function createPageRoutes(options: PageRouteOptions): Router {
  const { services, origins, limiters, hostGuard, admission, maxBodyBytes } = options
  const cookies = createPageCookies(origins.public)
  const context: PageContext = { ...options, cookies }
  const identify = identifyVisitor(services.sessions, cookies.session)
  const arrival = [
    hostGuard,
    pageSecurity,
    // Parsed before the session is looked up: it may end while a slow form arrives.
    express.urlencoded({ extended: false, limit: MAX_FORM_BYTES, parameterLimit: 50 }),
    identify,
    ...limiters.requests,
  ]
  const router = Router()
  router.get(STYLESHEET_PATH, (_req, res) => {
    res.setHeader('Cache-Control', 'public, max-age=31536000, immutable')
    res.type('css').send(STYLESHEET)
  })
  router.get('/', ...arrival, home(context))
  router.get([MCP_PATH, OPEN_MCP_PATH], ...arrival, mcpAddress(context))
  const admitted = messageArrival(admission, maxBodyBytes)
  router.post([...MESSAGE_FORMS], hostGuard, pageSecurity, identify, ...admitted)
  router.use(SHARED_PATH, linkHeaders)
  router.use(PAGES, ...arrival)
  router.use(MEMBERS_PAGES, requireSignIn)
  // Its proof of origin is in the form, before the file.
  router.post(IMPORT_PATH, readUpload)
  router.use(PAGES, refuseForgedForms(cookies.csrf, origins.public))
  router.use(signUpRoutes(context))
  router.use(signInRoutes(context))
  router.use(connectRoutes(context))
  router.use(accountRoutes(context))
  router.use(conversationRoutes(context))
  if (context.isSharingOn) router.use(shareRoutes(context))
  router.use(teamsRoutes(context))
  router.use(joinRoutes(context))
  router.use(resetRoutes(context))
  router.use(adminRoutes(context))
  if (services.links.mode !== 'off') router.use(linkRoutes(context), sharedRoutes(context))
  router.use(keyRoutes(context))
  router.use(sessionRoutes(context))
  router.use(tokenRoutes(context))
  router.use(usageRoutes(context))
  router.use(requestRoutes(context))
  router.use(passwordRoutes(context))
  router.use(dataRoutes(context))
  router.use(importPageRoutes(context))
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
