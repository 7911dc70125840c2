/** Anthropic's own API, as far as the gateway serves it: for Claude Code, SDKs and their like. */

import type { Request, RequestHandler, Response } from 'express'
import { AppError, toAppError } from '../../errors.ts'
import type { Logger } from '../../log.ts'
import { guards } from '../../mcp/index.ts'
import type { OwnOrigins } from '../../network/own-origins.ts'
import type { Services } from '../../services/index.ts'
import { inOrder } from '../in-order.ts'
import { OpenCallLimit } from '../rate-limit/open-calls.ts'
import type { RateLimiters } from '../rate-limit/rate-limit.ts'
import { countTokensRoute } from '../routes/count-tokens.ts'
import { messagesRoute } from '../routes/messages.ts'
import { modelsRoute } from '../routes/models.ts'
import {
  apiCallerOf,
  apiRequestOf,
  beginApiRequest,
  identifyApiCaller,
  requireApiCaller,
} from './api-caller.ts'
import { sendApiError } from './api-error.ts'
import { type ApiRoute, isApiPath, lacksVersion, rawPathOf, routeOf } from './paths.ts'
import type { ApiBodyRooms } from './request-body.ts'

export type ApiOptions = {
  services: Pick<Services, 'messagesApi' | 'passThrough' | 'sessions' | 'running'>
  origins: OwnOrigins
  limiters: Pick<RateLimiters, 'messages' | 'freeCalls'>
  /** Of one user, in this process. */
  maxOpenCallsPerUser: number
  allowedHosts: string[]
  rooms: ApiBodyRooms
  log: Logger
}

/** Any other request goes on to the next handler. A token is checked before its body is read. */
export function messagesApi(options: ApiOptions): RequestHandler {
  const answers = answersOf(options)
  const answer: RequestHandler = (req, res, next) => {
    const path = rawPathOf(req.originalUrl)
    const route = routeOf(path)
    const handler = route === undefined ? nothingHere(path) : inMethod(route, answers[route.name])
    return handler(req, res, next)
  }
  const api = inOrder(beginApiRequest, hostGuard(options.allowedHosts), answer)
  return (req, res, next) => {
    if (!isApiPath(rawPathOf(req.originalUrl))) return next()
    api(req, res, (error: unknown) => tellError(options.log, req, res, error))
  }
}

/** Every address, and what happens there, top to bottom. */
function answersOf(options: ApiOptions): Record<ApiRoute['name'], RequestHandler> {
  const { services, origins, limiters, rooms } = options
  const { sessions } = services
  const requireCaller = requireApiCaller(origins)
  const notStopping: RequestHandler = (_req, _res, next) => {
    services.running.refuseWhenStopping()
    next()
  }
  const counted = [
    identifyApiCaller({ sessions, origins, isCounted: true }),
    ...limiters.messages,
    requireCaller,
    notStopping,
    limitOpenCalls(options.maxOpenCallsPerUser),
  ]
  const free = [
    identifyApiCaller({ sessions, origins, isCounted: false }),
    ...limiters.freeCalls,
    requireCaller,
    notStopping,
  ]
  return {
    messages: inOrder(...counted, messagesRoute(services, rooms)),
    count_tokens: inOrder(...free, countTokensRoute(services, rooms)),
    models: inOrder(...free, modelsRoute(services)),
    model: inOrder(...free, modelsRoute(services)),
    hello: (_req, res) => void res.status(200).end(),
  }
}

function limitOpenCalls(maxPerUser: number): RequestHandler {
  const open = new OpenCallLimit(maxPerUser)
  return (req, res, next) => {
    const { userId } = apiCallerOf(req)
    const refusal = open.refusal(userId)
    if (refusal) throw refusal
    open.count(userId, res)
    next()
  }
}

const hostGuard =
  (allowedHosts: string[]): RequestHandler =>
  (req, _res, next) => {
    const problem = guards.hostProblem(req.headers.host, allowedHosts)
    if (problem !== undefined) throw new AppError('forbidden', problem)
    next()
  }

function inMethod({ methods }: ApiRoute, answer: RequestHandler): RequestHandler {
  return (req, res, next) => {
    if (methods.includes(req.method)) return answer(req, res, next)
    res.setHeader('allow', methods.join(', '))
    throw new AppError('method_not_allowed', `This address takes ${methods.join(' or ')} only.`)
  }
}

function nothingHere(path: string): RequestHandler {
  return () => {
    throw new AppError('not_found', `There is nothing at this address. ${hintFor(path)}`)
  }
}

function hintFor(path: string): string {
  if (/^\/v1\/v1(\/|$)/i.test(path)) {
    return 'The path begins with /v1 twice: leave it out of the base URL of your client.'
  }
  if (lacksVersion(path)) return 'Add /v1 to the base URL of your client.'
  return 'Of Anthropic’s API the gateway has /v1/messages, /v1/messages/count_tokens and /v1/models.'
}

function tellError(log: Logger, req: Request, res: Response, thrown: unknown): void {
  if (thrown === undefined || res.destroyed) return
  const error = toAppError(thrown)
  if (error.code === 'internal') log.error({ err: error }, 'request failed')
  if (res.headersSent) res.destroy()
  else sendApiError(res, error, apiRequestOf(req).id)
}
