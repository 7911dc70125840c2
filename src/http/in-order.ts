import { type RequestHandler, Router } from 'express'

const ANY_PATH = /^/

/**
 * One handler that runs these in order, as Express does. The route matches the path of a request once; a
 * router that they were added to by `use` would match it before each of them.
 */
export const inOrder = (...handlers: RequestHandler[]): RequestHandler =>
  Router().all(ANY_PATH, ...handlers)
