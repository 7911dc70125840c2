/**
 * Who is asking: the Authorization header, or a tool call's access_token argument.
 *
 * A bad header is HTTP 401, which makes a client sign in again. A bad argument is a tool error,
 * since only the argument's author can mend it. Nothing is decided here about what the caller
 * may do.
 */

import type { NextFunction, Request, RequestHandler, Response } from 'express'
import { AppError, toAppError } from '../errors.ts'
import type { Inspected } from '../mcp/index.ts'
import type { Asker } from '../mcp/run-tool.ts'
import { DEFAULT_SCOPES, insufficientScope } from '../services/scopes.ts'
import type { Caller, SessionService } from '../services/sessions.ts'
import { sendAppError } from './json-rpc.ts'
import type { KnownTokens } from './known-tokens.ts'
import { networkOf } from './network.ts'
import { wantsShortNames } from './tool-names-asked.ts'

/** What is known of one request to /mcp on its way through the middleware. */
export type McpRequest = {
  inspected: Inspected
  asker: Asker
  /** Whether the caller is who the Authorization header says. */
  isBearer: boolean
  /** Set when only HTTP can refuse: a bad bearer token, or the database is away. */
  httpRefusal: AppError | null
  /** Of the caller's requests, where finding out who they are counted this one too. */
  count: { hits: number; resetAt: Date } | null
}

const requests = new WeakMap<Request, McpRequest>()

/** For the log: undefined for a request that was not identified, or is none of MCP's. */
export function peekMcpRequest(req: Request): McpRequest | undefined {
  return requests.get(req)
}

/** @throws Error where {@link identifyCaller} did not run before. */
export function mcpRequestOf(req: Request): McpRequest {
  const known = requests.get(req)
  if (!known) throw new Error('identifyCaller has to run first')
  return known
}

type Sessions = Pick<SessionService, 'resolve' | 'resolveAndCount'>

type Identification = {
  sessions: Sessions
  /** Told of good and of bad bearer tokens. */
  knownTokens: KnownTokens
  inspect: (body: unknown) => Inspected
}

/** Finds out who is asking; refuses nobody yet, so that limits count refused requests too. */
export function identifyCaller({ sessions, knownTokens, inspect }: Identification): RequestHandler {
  return async (req, _res, next) => {
    const inspected = inspect(req.body)
    const { asker, ...found } = await identify(sessions, req, inspected)
    // Only what hashes passwords takes turns by it.
    const network = inspected.tool?.limitedAs ? networkOf(req) : undefined
    const shortNames = wantsShortNames(req)
    const request = { inspected, asker: { ...asker, network, shortNames }, ...found }
    requests.set(req, request)
    noteToken(knownTokens, req, request)
    next()
  }
}

function noteToken(knownTokens: KnownTokens, req: Request, { asker, ...found }: McpRequest): void {
  const token = found.isBearer ? bearerToken(req) : undefined
  if (token === undefined) return
  if (asker.caller) knownTokens.note(token, asker.caller.userId)
  else if (found.httpRefusal?.status === 401) knownTokens.forget(token)
}

async function identify(
  sessions: Sessions,
  req: Request,
  { accessTokenArgument, isToolCall }: Inspected,
): Promise<Omit<McpRequest, 'inspected'>> {
  const header = bearerToken(req)
  const given = isToken(accessTokenArgument) ? accessTokenArgument : undefined
  const isOneToken = header === undefined || given === undefined || given === header
  if (isOneToken) {
    const isBearer = header !== undefined || given === undefined
    return identifyOne(sessions, header ?? given, { isBearer, isToolCall })
  }
  const bearer = await resolved(sessions, header)
  if (bearer instanceof AppError) return badBearer(bearer, isToolCall)
  const argument = await resolved(sessions, given)
  if (argument instanceof AppError) {
    return { asker: { caller: bearer, refusal: argument }, isBearer: true, ...UNCOUNTED }
  }
  const refusal = bearer.userId === argument.userId ? null : twoUsers()
  return { asker: { caller: argument, refusal }, isBearer: false, ...UNCOUNTED }
}

const UNCOUNTED = { httpRefusal: null, count: null }

async function identifyOne(
  sessions: Sessions,
  token: string | undefined,
  { isBearer, isToolCall }: { isBearer: boolean; isToolCall: boolean },
): Promise<Omit<McpRequest, 'inspected'>> {
  if (token === undefined) return { asker: NOBODY, isBearer, ...UNCOUNTED }
  try {
    const { caller, count } = await sessions.resolveAndCount(token)
    return { asker: { caller, refusal: null }, isBearer, httpRefusal: null, count }
  } catch (thrown) {
    const refusal = toAppError(thrown)
    if (isBearer) return badBearer(refusal, isToolCall)
    return { asker: { caller: null, refusal }, isBearer, ...UNCOUNTED }
  }
}

function badBearer(refusal: AppError, isToolCall: boolean): Omit<McpRequest, 'inspected'> {
  // What is wrong with the token is for HTTP to say; that the database is away, for the tool.
  const isForHttp = refusal.status === 401 || !isToolCall
  const asker = { caller: null, refusal }
  return { asker, isBearer: true, httpRefusal: isForHttp ? refusal : null, count: null }
}

const NOBODY: Asker = { caller: null, refusal: null }

const isToken = (given: unknown): given is string => typeof given === 'string' && given !== ''

const resolved = (sessions: Sessions, token: string): Promise<Caller | AppError> =>
  sessions.resolve(token).catch(toAppError)

/** A header of another scheme is a token that cannot be good: '' would read as none at all. */
export function bearerToken(req: Request): string | undefined {
  const header = req.headers.authorization
  if (header === undefined) return undefined
  return /^Bearer +(\S+) *$/i.exec(header)?.[1] ?? 'malformed'
}

type Demands = {
  /** False: every request needs a token, the public tools' included. */
  anonymous: boolean
  /** Absolute URL of the protected resource metadata (RFC 9728). */
  resourceMetadataUrl: string
}

/** Answers 401 with the challenge that makes a connector sign in, where a token is needed. */
export function requireCaller({ anonymous, resourceMetadataUrl }: Demands): RequestHandler {
  return (req: Request, res: Response, next: NextFunction) => {
    const { inspected, asker, httpRefusal } = mcpRequestOf(req)
    const isOpen = anonymous ? !needsCaller(inspected) : false
    const error =
      httpRefusal ?? (isOpen || asker.caller || asker.refusal ? null : tokenMissing(anonymous))
    const refusal = error ?? missingScope(req)
    if (!refusal) return next()
    const challenge = challengeFor(refusal, req)
    if (challenge) {
      const params = { ...challenge, resource_metadata: resourceMetadataUrl }
      const quoted = Object.entries(params).map(([name, value]) => `${name}="${value}"`)
      res.setHeader('WWW-Authenticate', `Bearer ${quoted.join(', ')}`)
    }
    sendAppError(res, refusal, inspected.id)
  }
}

/** What the challenge says (RFC 6750, section 3; MCP authorization); of other refusals there is none. */
function challengeFor(
  { status, code }: AppError,
  req: Request,
): Record<string, string> | undefined {
  if (code === 'insufficient_scope') return { error: code, scope: neededScopes(req).join(' ') }
  if (status !== 401) return undefined
  const scope = DEFAULT_SCOPES.join(' ')
  return mcpRequestOf(req).httpRefusal ? { error: 'invalid_token', scope } : { scope }
}

/** Only of a token in the header: what is wrong with an argument's is for the tool to say. */
function missingScope(req: Request): AppError | null {
  const { inspected, asker, isBearer } = mcpRequestOf(req)
  const { scope } = inspected
  if (!isBearer || scope === undefined || asker.caller?.scopes.includes(scope) !== false)
    return null
  return insufficientScope([scope])
}

/** All at once: a client asks anew for just what the challenge names, and would lose the others. */
function neededScopes(req: Request): readonly string[] {
  const { inspected, asker } = mcpRequestOf(req)
  return [...(asker.caller?.scopes ?? []), ...(inspected.scope ? [inspected.scope] : [])]
}

function needsCaller({ method, isToolCall, tool }: Inspected): boolean {
  if (isToolCall) return tool?.access === 'user'
  return method === 'resources/read'
}

const tokenMissing = (anonymous: boolean) =>
  new AppError(
    'unauthenticated',
    `This request needs an access token: connect by OAuth, or send one as Authorization: Bearer. The account page makes personal ones${anonymous ? ', authenticate_user short-lived ones' : ''}.`,
  )

const twoUsers = () =>
  new AppError(
    'forbidden',
    'The Authorization header and the access_token argument belong to different users. Send only one.',
  )
