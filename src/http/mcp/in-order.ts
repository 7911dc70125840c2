import type { NextFunction, Request, RequestHandler, Response } from 'express'

/**
 * One handler that does what these do, one after the other. A router would hold the path of a
 * request against each of them.
 */
export function inOrder(handlers: readonly RequestHandler[]): RequestHandler {
  return (req, res, next) => run(handlers, 0, req, res, next)
}

/** As Express does: what a handler throws, now or later, is the next error handler's. */
function run(
  handlers: readonly RequestHandler[],
  at: number,
  req: Request,
  res: Response,
  next: NextFunction,
): void {
  const handler = handlers[at] ?? ((_req, _res, done) => done())
  const isLast = at + 1 >= handlers.length
  const proceed = (error?: unknown) =>
    error || isLast ? next(error) : run(handlers, at + 1, req, res, next)
  try {
    const done: unknown = handler(req, res, proceed)
    if (done instanceof Promise)
      done.catch((error) => next(error ?? new Error('rejected without a reason')))
  } catch (error) {
    next(error)
  }
}
