import type { RequestHandler } from 'express'
import type { Services } from '../../services/index.ts'
import { apiCallerOf, apiRequestOf } from '../messages/api-caller.ts'
import { receiveCall } from '../messages/incoming-call.ts'
import type { ApiBodyRooms } from '../messages/request-body.ts'
import { ResponseAnswer } from '../messages/response-answer.ts'

/** POST /v1/messages, streamed or not: within the user's budgets, and in the ledger. */
export function messagesRoute(
  { messagesApi }: Pick<Services, 'messagesApi'>,
  rooms: ApiBodyRooms,
): RequestHandler {
  return async (req, res) => {
    const call = await receiveCall(req, res, rooms)
    await messagesApi.send(apiCallerOf(req), call, new ResponseAnswer(res, apiRequestOf(req).id))
  }
}
