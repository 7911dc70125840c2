import type { RequestHandler } from 'express'
import type { Services } from '../../services/index.ts'
import { apiCallerOf, apiRequestOf } from '../messages/api-caller.ts'
import { receiveCall } from '../messages/incoming-call.ts'
import type { ApiBodyRooms } from '../messages/request-body.ts'
import { ResponseAnswer } from '../messages/response-answer.ts'

/** POST /v1/messages/count_tokens: Anthropic's count, free of charge and without a budget. */
export function countTokensRoute(
  { passThrough }: Pick<Services, 'passThrough'>,
  rooms: ApiBodyRooms,
): RequestHandler {
  return async (req, res) => {
    const call = await receiveCall(req, res, rooms)
    await passThrough.count(apiCallerOf(req), call, new ResponseAnswer(res, apiRequestOf(req).id))
  }
}
