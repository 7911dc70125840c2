import type { Request, Response } from 'express'
import type { IncomingCall } from '../../services/pass-through/client-side.ts'
import { apiCallerOf, apiRequestOf } from './api-caller.ts'
import { type ApiBodyRooms, readApiBody } from './request-body.ts'

/** A call without a body. */
export function bodylessCall(req: Request): IncomingCall {
  return { ...callOf(req, 'GET'), body: null, onBodySent: () => {} }
}

/** Reads the body. @throws AppError as readApiBody does. */
export async function receiveCall(
  req: Request,
  res: Response,
  rooms: ApiBodyRooms,
): Promise<IncomingCall> {
  const { bytes, release } = await readApiBody(req, res, rooms, apiCallerOf(req).userId)
  // A client that has left by now closes nothing any more.
  if (res.closed) release()
  else res.once('close', release)
  return { ...callOf(req, 'POST'), body: bytes, onBodySent: release }
}

const callOf = (req: Request, method: IncomingCall['method']) => ({
  requestId: apiRequestOf(req).id,
  method,
  path: req.originalUrl,
  rawHeaders: req.rawHeaders,
})
