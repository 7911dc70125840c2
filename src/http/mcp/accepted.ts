import type { Request, RequestHandler } from 'express'
import type { Accepted } from '../../mcp/index.ts'
import { replaceHeader } from '../replace-header.ts'

const JSON_TYPE = 'application/json'
const STREAM_TYPE = 'text/event-stream'
const BOTH = `${JSON_TYPE}, ${STREAM_TYPE}`

const accepted = new WeakMap<Request, Accepted>()

/** @throws Error where {@link negotiate} did not run before. */
export function acceptedOf(req: Request): Accepted {
  const forms = accepted.get(req)
  if (!forms) throw new Error('negotiate has to run first')
  return forms
}

/**
 * Which forms of an answer a client takes (RFC 9110, section 12.5.1). MCP has clients name both, word
 * by word, and the SDKs hold them to it; anything else that means one of them is answered in that.
 */
export const negotiate: RequestHandler = (req, _res, next) => {
  const { accept } = req.headers
  // As nearly every client writes it.
  const forms =
    accept === BOTH
      ? { json: true, stream: true }
      : { json: Boolean(req.accepts(JSON_TYPE)), stream: Boolean(req.accepts(STREAM_TYPE)) }
  accepted.set(req, forms)
  if (accept !== BOTH && (forms.json || forms.stream)) replaceHeader(req, 'accept', BOTH)
  next()
}
