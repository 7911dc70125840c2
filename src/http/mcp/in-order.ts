import type { NextFunction, Request, RequestHandler, Response } from 'express'

/**
 * Combines the handlers into one that runs them in order. A router would match the path of a
 * request against each of them.
 */
export function inOrder(handlers: readonly RequestHandler[]): RequestHandler {
  return (req, res, next) => run(handlers, 0, req, res, next)
}

/** As in Express, an error thrown or rejected by a handler goes to the next error handler. */
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
