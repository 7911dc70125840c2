import type { Request, RequestHandler } from 'express'
import type { Accepted } from '../../mcp/index.ts'
import { replaceHeader } from '../replace-header.ts'

const JSON_TYPE = 'application/json'
const STREAM_TYPE = 'text/event-stream'
const BOTH = `${JSON_TYPE}, ${STREAM_TYPE}`

const accepted = new WeakMap<Request, Accepted>()

/** @throws Error when {@link negotiate} did not run before. */
export function acceptedOf(req: Request): Accepted {
  const forms = accepted.get(req)
  if (!forms) throw new Error('negotiate has to run first')
  return forms
}

/**
 * Records which response types a client accepts (RFC 9110, section 12.5.1). MCP requires clients to
 * name both literally, and the SDKs enforce it; here, any header that accepts one gets that one.
 */
export const negotiate: RequestHandler = (req, _res, next) => {
  const { accept } = req.headers
  // The literal form that nearly every client sends.
  const forms =
    accept === BOTH
      ? { json: true, stream: true }
      : { json: Boolean(req.accepts(JSON_TYPE)), stream: Boolean(req.accepts(STREAM_TYPE)) }
  accepted.set(req, forms)
  if (accept !== BOTH && (forms.json || forms.stream)) replaceHeader(req, 'accept', BOTH)
  next()
}
