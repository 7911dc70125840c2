import type { Request, RequestHandler } from 'express'
import { AppError } from '../../errors.ts'
import type { Features } from '../../mcp/features.ts'
import { createMcpHandler, guards } from '../../mcp/index.ts'
import type { ToolRunner } from '../../mcp/run-tool.ts'
import { MCP_PATH, OPEN_MCP_PATH } from '../../network/mcp-addresses.ts'
import type { OwnOrigins } from '../../network/own-origins.ts'
import { admitBody, type BodyAdmission } from '../bodies/admit-body.ts'
import { inOrder } from '../in-order.ts'
import { OpenCallLimit } from '../rate-limit/open-calls.ts'
import type { RateLimiters } from '../rate-limit/rate-limit.ts'
import { acceptedOf, negotiate } from './accepted.ts'
import { identifyCaller, mcpRequestOf } from './authenticate.ts'
import { type Entrance, requireCaller, requireHeader } from './challenge.ts'
import { cors } from './cors.ts'
import { jsonBody } from './json-body.ts'
import { sendAppError } from './json-rpc.ts'
import {
  jsonOnly,
  postOnly,
  readable,
  singleMessage,
  toldLater,
  usualCharset,
  whenJson,
  withinBounds,
} from './message-body.ts'
import { limitOpenCalls } from './open-calls.ts'
import { knownToolNames, wantsShortNames } from './tool-names-asked.ts'

type McpEndpointOptions = {
  runner: ToolRunner
  origins: OwnOrigins
  toolPrefix: string
  /** Served instead of the gateway's own. */
  features?: Features | undefined
  /** Whether the open address is served, for clients without a token in their header. */
  isOpenServed: boolean
  limiters: Pick<RateLimiters, 'requests' | 'registrations' | 'signIns' | 'searches'>
  admission: BodyAdmission
  maxOpenCallsPerUser: number
  allowedHosts: string[]
  allowedOrigins: string[]
  maxBodyBytes: number
}

/** Generous limit for the values of a body outside a tool's arguments, which have their own. */
const OTHER_VALUES = 10_000

/**
 * The MCP endpoint of both protocol eras, at its two addresses. The middleware runs top to bottom:
 * authorization errors are reported before errors in the message.
 */
export function mcpEndpoints(
  options: McpEndpointOptions,
): Record<Entrance['path'], RequestHandler> {
  const { runner, origins, isOpenServed, limiters, admission, maxBodyBytes } = options
  const { toolPrefix, features } = options
  const mcp = createMcpHandler({ runner, publicUrl: origins.public, toolPrefix, features })
  const { sessions } = runner.services
  const { knownTokens } = admission
  const openCalls = new OpenCallLimit(options.maxOpenCallsPerUser)
  const begin = (req: Request, token: string) =>
    mcp.begin(req, req.body, {
      token,
      shortNames: wantsShortNames(req),
      mayStart: (userId) => openCalls.refusal(userId) === null,
    })
  const arrival = [
    guards.hostHeaderValidation(options.allowedHosts),
    guards.originValidation(options.allowedOrigins),
    cors,
    noStore,
    knownToolNames,
  ]
  const identification = [
    whenJson(usualCharset),
    whenJson(admitBody(admission, maxBodyBytes)),
    whenJson(toldLater(jsonBody(maxBodyBytes, runner.maxToolInputElements + OTHER_VALUES))),
    identifyCaller({ sessions, knownTokens, inspect: mcp.inspect, issuers: origins.all, begin }),
    ...limiters.requests,
    ...limiters.registrations,
    ...limiters.signIns,
    ...limiters.searches,
    limitOpenCalls(openCalls),
  ]
  const answer: RequestHandler[] = [
    postOnly,
    jsonOnly,
    negotiate,
    readable,
    singleMessage,
    withinBounds,
    (req, res) => {
      const { inspected, asker } = mcpRequestOf(req)
      return mcp.handle(req, res, { body: req.body, inspected, asker, accepted: acceptedOf(req) })
    },
  ]
  const worded = (req: Request, text: string) => mcp.worded(text, wantsShortNames(req))
  const closed: Entrance = { path: MCP_PATH, origins, isOpenServed, worded }
  const open: Entrance = { path: OPEN_MCP_PATH, origins, isOpenServed, worded }
  const header = requireHeader(closed, limiters.requests)
  return {
    [MCP_PATH]: inOrder(...arrival, header, ...identification, requireCaller(closed), ...answer),
    [OPEN_MCP_PATH]: isOpenServed
      ? inOrder(...arrival, ...identification, requireCaller(open), ...answer)
      : inOrder(...arrival, ...limiters.requests, notServed(origins)),
  }
}

/** For POST /, where clients configured with an address without a path arrive. */
export const mcpIsElsewhere =
  (origins: OwnOrigins): RequestHandler =>
  (req, res) => {
    const origin = origins.askedBy(req)
    const message = `MCP is not at this address: use ${origin}${MCP_PATH}.`
    sendAppError(res, new AppError('not_found', message))
  }

const notServed =
  (origins: OwnOrigins): RequestHandler =>
  (req, res) => {
    const origin = origins.askedBy(req)
    const message = `This address is closed here (MCP_OPEN=off). Use ${origin}${MCP_PATH}: connect by OAuth, or send a token of ${origin}/account/tokens as Authorization: Bearer.`
    sendAppError(res, new AppError('not_found', message))
  }

/** On errors too: they may reveal whose token it was. */
const noStore: RequestHandler = (_req, res, next) => {
  res.setHeader('Cache-Control', 'no-store')
  next()
}
