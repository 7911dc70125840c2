/**
 * Who is asking: the Authorization header, or a tool call's access_token argument.
 *
 * A bad header is HTTP 401, which makes a client sign in again. A bad argument is a tool error,
 * since only the argument's author can mend it. Nothing is decided here about what the caller
 * may do.
 */

import type { Request, RequestHandler } from 'express'
import { AppError, toAppError } from '../../errors.ts'
import type { Inspected } from '../../mcp/index.ts'
import type { RequestIdentity } from '../../mcp/run-tool.ts'
import type { Caller } from '../../services/access/caller.ts'
import type { SessionService } from '../../services/access/sessions.ts'
import type { KnownTokens } from '../bodies/known-tokens.ts'
import { networkOf } from '../rate-limit/network.ts'
import { mistakeInArgument, mistakeInHeader } from './token-mistakes.ts'
import { wantsShortNames } from './tool-names-asked.ts'

/** What is known of one request to /mcp on its way through the middleware. */
export type McpRequest = {
  inspected: Inspected
  asker: RequestIdentity
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
  /** Of the gateway's own tokens. */
  issuers: readonly string[]
}

/** Finds out who is asking; refuses nobody yet, so that limits count refused requests too. */
export function identifyCaller(how: Identification): RequestHandler {
  const { inspect, knownTokens } = how
  return async (req, _res, next) => {
    const inspected = inspect(req.body)
    const { asker, ...found } = await identify(how, req, inspected)
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
  { sessions, issuers }: Identification,
  req: Request,
  { accessTokenArgument, isToolCall }: Inspected,
): Promise<Omit<McpRequest, 'inspected'>> {
  const header = bearerToken(req)
  const given = isToken(accessTokenArgument) ? accessTokenArgument : undefined
  const inHeader = (refusal: AppError) => mistakeInHeader(refusal, req, issuers)
  const inArgument = (refusal: AppError) => mistakeInArgument(refusal, given ?? '', issuers)
  const isOneToken = header === undefined || given === undefined || given === header
  if (isOneToken) {
    const isBearer = header !== undefined || given === undefined
    const told = isBearer ? inHeader : inArgument
    return identifyOne(sessions, header ?? given, { isBearer, isToolCall, told })
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

/** By which a token came, and what is told of a mistake in it. */
type Way = { isBearer: boolean; isToolCall: boolean; told: (refusal: AppError) => AppError }

const UNCOUNTED = { httpRefusal: null, count: null }

async function identifyOne(
  sessions: Sessions,
  token: string | undefined,
  { isBearer, isToolCall, told }: Way,
): Promise<Omit<McpRequest, 'inspected'>> {
  if (token === undefined) return { asker: NOBODY, isBearer, ...UNCOUNTED }
  try {
    const { caller, count } = await sessions.resolveAndCount(token)
    return { asker: { caller, refusal: null }, isBearer, httpRefusal: null, count }
  } catch (thrown) {
    const refusal = told(toAppError(thrown))
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

const NOBODY: RequestIdentity = { caller: null, refusal: null }

const isToken = (given: unknown): given is string => typeof given === 'string' && given !== ''

const resolved = (sessions: Sessions, token: string): Promise<Caller | AppError> =>
  sessions.resolve(token).catch(toAppError)

/** A header of another scheme is a token that cannot be good: '' would read as none at all. */
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
