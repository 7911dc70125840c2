import type { Request } from 'express'

const FOR_PROGRAMS = ['text/event-stream', 'application/json']

/** Whether somebody looks at an address of programs with a browser, which asks for HTML first. */
export const isPageVisit = (req: Request): boolean =>
  (req.method === 'GET' || req.method === 'HEAD') &&
  req.headers.authorization === undefined &&
  req.accepts([...FOR_PROGRAMS, 'text/html']) === 'text/html'
