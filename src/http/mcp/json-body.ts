import type { IncomingMessage } from 'node:http'
import express, { type Request, type RequestHandler } from 'express'
import { admittedBody } from '../bodies/admit-body.ts'
import { CollectedBytes } from '../bodies/collected-bytes.ts'
import { bodyError, refuseCostlyShape } from './body-limits.ts'

/**
 * Reads a JSON body into `req.body`. Plain bodies, which nearly every client sends, take a faster
 * path than express.json, which reads the rest: compressed, too large, of another charset.
 *
 * @param maxBytes default when admit-body.ts did not set a lower limit.
 * @param maxValues limit on the cost of parsing, see {@link refuseCostlyShape}.
 */
export function jsonBody(maxBytes: number, maxValues: number): RequestHandler {
  const verify = refuseCostlyShape(maxValues)
  const readAny = byLimit((limit) =>
    express.json({ limit, strict: false, type: () => true, verify }),
  )
  return (req, res, next) => {
    const limit = admittedBody(req)?.maxBytes ?? maxBytes
    const done = (error?: unknown) => next(explained(error, limit, maxBytes, maxValues))
    if (!isPlain(req, limit)) return readAny(limit)(req, res, done)
    collect(req, limit, (error, body) => {
      if (error) return done(error)
      try {
        verify(req, res, body, 'utf-8')
        req.body = parse(body)
      } catch (broken) {
        return done(broken)
      }
      done()
    })
  }
}

/** Creates one handler per limit; there are only a few limits. */
function byLimit(make: (limit: number) => RequestHandler) {
  const made = new Map<number, RequestHandler>()
  return (limit: number) => {
    const handler = made.get(limit) ?? make(limit)
    made.set(limit, handler)
    return handler
  }
}

function isPlain({ headers }: IncomingMessage, maxBytes: number): boolean {
  const length = headers['content-length']
  const isInTime = length === undefined || (Number(length) > 0 && Number(length) <= maxBytes)
  return (
    headers['content-type'] === 'application/json' &&
    headers['content-encoding'] === undefined &&
    isInTime
  )
}

function collect(
  req: Request,
  maxBytes: number,
  done: (error: unknown, body: Buffer) => void,
): void {
  const body = new CollectedBytes()
  const received = admittedBody(req)?.received
  const stop = (error: unknown) => {
    req.off('data', onData).off('error', onError).off('end', onEnd)
    // The rest of the body is discarded, so that the client can read the answer.
    if (error) req.resume()
    done(error, body.take())
  }
  const onData = (piece: Buffer) => {
    try {
      if (body.length + piece.length > maxBytes) throw bodyError('entity.too.large')
      received?.(piece.length)
      body.add(piece)
    } catch (error) {
      stop(error)
    }
  }
  const onError = () => stop(bodyError('request.aborted'))
  const onEnd = () => stop(undefined)
  req.on('data', onData).on('error', onError).on('end', onEnd)
}

/** Adds which limit was exceeded, and how to raise it. */
function explained(error: unknown, limit: number, maxBytes: number, maxValues: number): unknown {
  const type = (error as { type?: unknown } | undefined)?.type
  if (type === 'entity.too.many') {
    const explanation = `It may have ${maxValues} values: some more than the operator's MAX_TOOL_INPUT_ELEMENTS.`
    return Object.assign(error as object, { explanation })
  }
  if (type !== 'entity.too.large') return error
  const explanation =
    limit < maxBytes
      ? `Without a token in the Authorization header a body may have at most ${limit} bytes.`
      : `It may have at most ${limit} bytes, which the operator sets by MAX_BODY_BYTES.`
  return Object.assign(error as object, { explanation })
}

function parse(body: Buffer): unknown {
  const text = body.toString('utf8')
  try {
    // A byte order mark may be ignored (RFC 8259, section 8.1), as express.json does.
    return JSON.parse(text.startsWith('\ufeff') ? text.slice(1) : text)
  } catch {
    throw bodyError('entity.parse.failed')
  }
}
