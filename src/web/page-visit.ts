import type { Request } from 'express'

const FOR_PROGRAMS = ['text/event-stream', 'application/json']

/** Whether a browser, which prefers HTML, requests an address meant for MCP clients. */
export const isPageVisit = (req: Request): boolean =>
  (req.method === 'GET' || req.method === 'HEAD') &&
  req.headers.authorization === undefined &&
  req.accepts([...FOR_PROGRAMS, 'text/html']) === 'text/html'
