/**
 * Admits a body before it is read, by its size and its likely sender. Only an address and a token
 * are known at that point: a recently verified token counts for its user, any other token for its
 * address, and without a token only small bodies are admitted.
 */

import type { Request, RequestHandler } from 'express'
import { ipKeyGenerator } from 'express-rate-limit'
import type { Memory } from '../../concurrency/memory.ts'
import { bearerToken } from '../mcp/authenticate.ts'
import type { BodyBudget, Held, Sender } from './body-budget.ts'
import type { KnownTokens } from './known-tokens.ts'

export type BodyAdmission = {
  budget: BodyBudget
  knownTokens: KnownTokens
  memory: Pick<Memory, 'isShort' | 'refuseWhenShort'>
}

export type AdmittedBody = {
  maxBytes: number
  /** For a body of undeclared length: counts the bytes received so far. */
  received(bytes: number): void
}

/** Forms and short messages; admitted even when memory is short. */
export const SMALL_BODY_BYTES = 64 * 1024
/** Too small to count: a full budget must not block health checks. */
const UNCOUNTED_BODY_BYTES = 4 * 1024
/** Without a token. A message of this length takes an hour to read. */
const TOKENLESS_BODY_BYTES = 256 * 1024

const admitted = new WeakMap<Request, AdmittedBody>()

/** Undefined for a request without a body. */
export const admittedBody = (req: Request): AdmittedBody | undefined => admitted.get(req)

/**
 * Counts the body until its request is answered. Passes the refusing AppError to `next`.
 *
 * @param maxBytes limit of a body with a plausible token.
 */
export function admitBody({ budget, knownTokens, memory }: BodyAdmission, maxBytes: number) {
  const handler: RequestHandler = (req, res, next) => {
    if (!hasBody(req)) return next()
    const token = tokenLike(req)
    const own = token === undefined ? Math.min(maxBytes, TOKENLESS_BODY_BYTES) : maxBytes
    const bytes = expectedBytes(req, own)
    if (bytes <= UNCOUNTED_BODY_BYTES) {
      admitted.set(req, { maxBytes: own, received: () => {} })
      return next()
    }
    if (bytes > SMALL_BODY_BYTES) memory.refuseWhenShort()
    const held = budget.hold(senderOf(req, token, knownTokens), bytes)
    res.on('close', held.release)
    admitted.set(req, { maxBytes: own, received: growing(held, bytes) })
    next()
  }
  return handler
}

/**
 * Counts the body of a form for the user who sends it, who is already known. A larger one than
 * `maxBytes` is not read.
 */
export function admitFormOf(
  { budget, memory }: Pick<BodyAdmission, 'budget' | 'memory'>,
  maxBytes: number,
  userOf: (req: Request) => string,
): RequestHandler {
  return (req, res, next) => {
    const declared = Number(req.headers['content-length'] ?? maxBytes)
    const bytes = req.headers['content-encoding'] === undefined ? declared : maxBytes
    if (bytes > maxBytes) return next()
    if (bytes > SMALL_BODY_BYTES) memory.refuseWhenShort()
    const held = budget.hold({ kind: 'user', key: userOf(req) }, bytes)
    // A client that has left by now closes nothing any more.
    if (res.closed) held.release()
    else res.on('close', held.release)
    next()
  }
}

const hasBody = ({ headers }: Request) =>
  headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0

/** The shape of a gateway token: signed (JWT) or personal. */
const TOKEN = /^(?:[\w-]{10,}\.[\w-]{10,}\.[\w-]{40,}|cag_[\w-]{20,})$/

function tokenLike(req: Request): string | undefined {
  const token = bearerToken(req)
  return token !== undefined && TOKEN.test(token) ? token : undefined
}

function senderOf(req: Request, token: string | undefined, known: KnownTokens): Sender {
  const userId = token === undefined ? undefined : known.userOf(token)
  if (userId !== undefined) return { kind: 'user', key: userId }
  return { kind: 'address', key: ipKeyGenerator(req.ip ?? '') }
}

/** A body that is too long is not read; a compressed one may have any size. */
function expectedBytes({ headers }: Request, maxBytes: number): number {
  const declared = headers['content-length']
  if (headers['content-encoding'] !== undefined) return maxBytes
  if (declared === undefined) return Math.min(SMALL_BODY_BYTES, maxBytes)
  return Number(declared) > maxBytes ? 0 : Number(declared)
}

function growing(held: Held, counted: number): AdmittedBody['received'] {
  let total = 0
  let holding = counted
  return (bytes) => {
    total += bytes
    if (total <= holding) return
    const more = Math.max(total - holding, SMALL_BODY_BYTES)
    held.grow(more)
    holding += more
  }
}
