import type { Response } from 'express'

/** Aborted when the response is closed, so also when its client has gone. */
export function closedSignal(res: Response): AbortSignal {
  const closed = new AbortController()
  if (res.closed) closed.abort()
  else res.once('close', () => closed.abort())
  return closed.signal
}
