import type { IncomingMessage } from 'node:http'
import express, { type RequestHandler } from 'express'
import { bodyError, refuseManyValues } from './body-shape.ts'

/**
 * Reads a JSON body into `req.body`. What nearly every client sends takes a shorter way than
 * express.json, which reads the rest: compressed, in pieces, too large, of another charset.
 *
 * @param maxValues what parsing may cost, see {@link refuseManyValues}.
 */
export function jsonBody(maxBytes: number, maxValues: number): RequestHandler {
  const verify = refuseManyValues(maxValues)
  const readAny = express.json({ limit: maxBytes, strict: false, type: () => true, verify })
  return (req, res, next) => {
    if (!isPlain(req, maxBytes)) return readAny(req, res, next)
    const chunks: Buffer[] = []
    const onError = () => next(Object.assign(bodyError('request.aborted'), { status: 400 }))
    req.on('data', (chunk: Buffer) => chunks.push(chunk))
    req.on('error', onError)
    req.on('end', () => {
      req.off('error', onError)
      try {
        const body = Buffer.concat(chunks)
        verify(req, res, body, 'utf-8')
        req.body = parse(body)
      } catch (error) {
        return next(error)
      }
      next()
    })
  }
}

function isPlain({ headers }: IncomingMessage, maxBytes: number): boolean {
  const bytes = Number(headers['content-length'])
  return (
    headers['content-type'] === 'application/json' &&
    headers['content-encoding'] === undefined &&
    bytes > 0 &&
    bytes <= maxBytes
  )
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
