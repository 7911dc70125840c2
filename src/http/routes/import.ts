import { type Request, type RequestHandler, type Response, Router } from 'express'
import { AppError, toAppError, toErrorBody } from '../../errors.ts'
import { branchesOf, grownOf } from '../../services/imports/imports.ts'
import type { Services } from '../../services/index.ts'
import { longBody } from '../bodies/long-body.ts'
import { closedSignal } from '../closed-signal.ts'
import { bearerToken } from '../mcp/authenticate.ts'
import { mistakeInHeader } from '../mcp/token-mistakes.ts'

type ImportRouteOptions = {
  services: Pick<Services, 'imports' | 'sessions'>
  limiters: RequestHandler[]
  hostGuard: RequestHandler
  /** Issuers of the gateway's own tokens. */
  issuers: readonly string[]
}

export const IMPORT_PATH = '/account/import'

/**
 * PUT /account/import: stores the conversations in the body, a JSON file or a zip, for the user
 * whose access token is in the Authorization header. The form of the pages is a POST.
 */
export function importRoutes(options: ImportRouteOptions): Router {
  const { services, limiters, hostGuard, issuers } = options
  const router = Router()
  router.put(IMPORT_PATH, hostGuard, ...limiters, async (req, res) => {
    const report = await store(services, req, res).catch(toAppError)
    res.setHeader('Cache-Control', 'no-store')
    if (!(report instanceof AppError)) return res.json({ success: true, ...report.toJSON() })
    if (report.code === 'internal') throw report
    const refusal = mistakeInHeader(report, req, issuers)
    if (refusal.status === 401) res.setHeader('WWW-Authenticate', 'Bearer error="invalid_token"')
    if (refusal.retryAfterSeconds !== undefined)
      res.setHeader('Retry-After', String(refusal.retryAfterSeconds))
    res.status(refusal.status).json(toErrorBody(refusal))
  })
  return router
}

async function store(
  { sessions, imports }: ImportRouteOptions['services'],
  req: Request,
  res: Response,
) {
  const caller = await sessions.resolve(bearerToken(req) ?? '')
  if (req.headers['content-encoding'] !== undefined) throw isEncoded()
  const wanted = { grown: grownOf(req.query.grown), branches: branchesOf(req.query.branches) }
  return imports.run(caller, longBody(req, res), closedSignal(res), wanted)
}

const isEncoded = () =>
  new AppError(
    'invalid_input',
    'The body must not have a Content-Encoding. Send the JSON file or the zip as it is.',
  )
