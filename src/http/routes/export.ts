import { type RequestHandler, Router } from 'express'
import { toAppError, toErrorBody } from '../../errors.ts'
import type { Services } from '../../services/index.ts'
import { bearerToken } from '../mcp/authenticate.ts'
import { mistakeInHeader } from '../mcp/token-mistakes.ts'
import { exportFile, sendFile } from '../send-file.ts'

type ExportRouteOptions = {
  services: Pick<Services, 'exports' | 'sessions'>
  limiters: RequestHandler[]
  hostGuard: RequestHandler
  /** Issuers of the gateway's own tokens. */
  issuers: readonly string[]
}

export const EXPORT_PATH = '/account/export'

/**
 * GET /account/export: all data of the user whose access token is in the Authorization header, as a
 * file. Without the header (a browser), redirects to the download page.
 */
export function exportRoutes(options: ExportRouteOptions): Router {
  const { services, limiters, hostGuard, issuers } = options
  const router = Router()
  router.get(EXPORT_PATH, hostGuard, ...limiters, async (req, res) => {
    const token = bearerToken(req)
    if (token === undefined) return res.redirect(303, '/account/data')
    const pieces = await open(services, token).catch(toAppError)
    if (Symbol.asyncIterator in pieces) return sendFile(res, pieces, exportFile())
    const refusal = mistakeInHeader(pieces, req, issuers)
    if (refusal.status === 401) res.setHeader('WWW-Authenticate', 'Bearer error="invalid_token"')
    res.status(refusal.status).json(toErrorBody(refusal))
  })
  return router
}

async function open({ sessions, exports }: ExportRouteOptions['services'], token: string) {
  return exports.stream(await sessions.resolve(token))
}
