/**
 * Identifies the caller by the Authorization header, or by a tool call's access_token argument.
 *
 * A bad header is HTTP 401, which makes a client sign in again. A bad argument is a tool error,
 * since only the author of the argument can correct it. What the caller may do is not decided here.
 */

import type { Request, RequestHandler, Response } from 'express'
import { AppError, toAppError } from '../../errors.ts'
import type { Inspected } from '../../mcp/index.ts'
import type { RequestIdentity } from '../../mcp/run-tool.ts'
import type { Caller } from '../../services/access/caller.ts'
import type { SessionService } from '../../services/access/sessions.ts'
import type { EarlySend } from '../../services/turns/remembered/early-turn.ts'
import type { KnownTokens } from '../bodies/known-tokens.ts'
import { networkOf } from '../rate-limit/network.ts'
import { mistakeInArgument, mistakeInHeader } from './token-mistakes.ts'
import { wantsShortNames } from './tool-names-asked.ts'

/** What the middleware knows of one request to /mcp. */
export type McpRequest = {
  inspected: Inspected
  asker: RequestIdentity
  /** Whether the caller was identified by the Authorization header. */
  isBearer: boolean
  /** Set when only HTTP can refuse: a bad bearer token, or the database is unavailable. */
  httpRefusal: AppError | null
  /** The caller's request count, where identifying them counted this request too. */
  count: { hits: number; resetAt: Date } | null
}

const requests = new WeakMap<Request, McpRequest>()

/** For the log: undefined for a request that was not identified, or is not an MCP request. */
export function peekMcpRequest(req: Request): McpRequest | undefined {
  return requests.get(req)
}

/** @throws Error when {@link identifyCaller} did not run before. */
export function mcpRequestOf(req: Request): McpRequest {
  const known = requests.get(req)
  if (!known) throw new Error('identifyCaller has to run first')
  return known
}

type Sessions = Pick<SessionService, 'resolve' | 'resolveAndCount'>

type Identification = {
  sessions: Sessions
  /** Notified of good and bad bearer tokens. */
  knownTokens: KnownTokens
  inspect: (body: unknown) => Inspected
  /** Issuers of the gateway's own tokens. */
  issuers: readonly string[]
  /** Begins a call with the token of the header, before its session is looked up. */
  begin: (req: Request, token: string) => Promise<EarlySend | undefined>
}

/** Identifies the caller; refuses none yet, so that the rate limits count refused requests too. */
export function identifyCaller(how: Identification): RequestHandler {
  const { inspect, knownTokens } = how
  return async (req, res, next) => {
    const inspected = inspect(req.body)
    const begun = await beginEarly(how, req, res, inspected)
    const { asker, ...found } = begun ?? (await identify(how, req, inspected))
    const from = networkOf(req)
    const caller = asker.caller && { ...asker.caller, network: from }
    // Only the tools that hash passwords queue by network.
    const network = inspected.tool?.limitedAs ? from : undefined
    const shortNames = wantsShortNames(req)
    const request = { inspected, asker: { ...asker, caller, network, shortNames }, ...found }
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

/** A call that has begun is identified, counted and admitted: the statement that began it did so. */
async function beginEarly(
  { begin }: Identification,
  req: Request,
  res: Response,
  { accessTokenArgument, tool }: Inspected,
): Promise<Omit<McpRequest, 'inspected'> | undefined> {
  const token = bearerToken(req)
  if (!tool?.startEarly || token === undefined || accessTokenArgument !== undefined)
    return undefined
  const begun = await begin(req, token)
  if (!begun) return undefined
  const known = { isBearer: true, httpRefusal: null }
  const { caller } = begun
  if ('refusal' in begun)
    return { asker: { caller, refusal: begun.refusal }, ...known, count: null }
  const { turn: early, count } = begun
  res.once('close', () => early.abandon(callerGone()))
  return { asker: { caller, refusal: null, early }, ...known, count }
}

const callerGone = () => new AppError('cancelled', 'The caller left before the answer.')

async function identify(
  { sessions, issuers }: Identification,
  req: Request,
  { accessTokenArgument, isToolCall, announce }: Inspected,
): Promise<Omit<McpRequest, 'inspected'>> {
  const header = bearerToken(req)
  const given = isToken(accessTokenArgument) ? accessTokenArgument : undefined
  const inHeader = (refusal: AppError) => mistakeInHeader(refusal, req, issuers)
  const inArgument = (refusal: AppError) => mistakeInArgument(refusal, given ?? '', issuers)
  const isOneToken = header === undefined || given === undefined || given === header
  if (isOneToken) {
    const isBearer = header !== undefined || given === undefined
    const told = isBearer ? inHeader : inArgument
    return identifyOne(sessions, header ?? given, { isBearer, isToolCall, told, announce })
  }
  const bearer = await resolved(sessions, header)
  if (bearer instanceof AppError) return badBearer(inHeader(bearer), isToolCall)
  const argument = await resolved(sessions, given)
  if (argument instanceof AppError) {
    return {
      asker: { caller: bearer, refusal: inArgument(argument) },
      isBearer: true,
      ...UNCOUNTED,
    }
  }
  const refusal = bearer.userId === argument.userId ? null : twoUsers()
  return { asker: { caller: argument, refusal }, isBearer: false, ...UNCOUNTED }
}

/** Where a token came from, and how a mistake in it is described. */
type Way = Pick<Inspected, 'isToolCall' | 'announce'> & {
  isBearer: boolean
  told: (refusal: AppError) => AppError
}

const UNCOUNTED = { httpRefusal: null, count: null }

async function identifyOne(
  sessions: Sessions,
  token: string | undefined,
  { isBearer, isToolCall, told, announce }: Way,
): Promise<Omit<McpRequest, 'inspected'>> {
  if (token === undefined) return { asker: NOBODY, isBearer, ...UNCOUNTED }
  try {
    const { caller, count } = await sessions.resolveAndCount(token, 'requests', announce())
    return { asker: { caller, refusal: null }, isBearer, httpRefusal: null, count }
  } catch (thrown) {
    const refusal = told(toAppError(thrown))
    if (isBearer) return badBearer(refusal, isToolCall)
    return { asker: { caller: null, refusal }, isBearer, ...UNCOUNTED }
  }
}

function badBearer(refusal: AppError, isToolCall: boolean): Omit<McpRequest, 'inspected'> {
  // A bad token is reported by HTTP; an unavailable database by the tool's result.
  const isForHttp = refusal.status === 401 || !isToolCall
  const asker = { caller: null, refusal }
  return { asker, isBearer: true, httpRefusal: isForHttp ? refusal : null, count: null }
}

const NOBODY: RequestIdentity = { caller: null, refusal: null }

const isToken = (given: unknown): given is string => typeof given === 'string' && given !== ''

const resolved = (sessions: Sessions, token: string): Promise<Caller | AppError> =>
  sessions.resolve(token).catch(toAppError)

/** A header of another scheme counts as a malformed token: '' would read as no token. */
export function bearerToken(req: Request): string | undefined {
  const header = req.headers.authorization
  if (header === undefined) return undefined
  return /^Bearer +(\S+) *$/i.exec(header)?.[1] ?? 'malformed'
}

const twoUsers = () =>
  new AppError(
    'forbidden',
    'The Authorization header and the access_token argument belong to different users. Send only one.',
  )
