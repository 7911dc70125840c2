import type { RequestHandler } from 'express'
import type { Services } from '../../services/index.ts'
import { apiCallerOf, apiRequestOf } from '../messages/api-caller.ts'
import { bodylessCall } from '../messages/incoming-call.ts'
import { ResponseAnswer } from '../messages/response-answer.ts'

/** GET /v1/models and GET /v1/models/{id}: what Anthropic offers to the user's key. */
export function modelsRoute({ passThrough }: Pick<Services, 'passThrough'>): RequestHandler {
  return async (req, res) => {
    const answer = new ResponseAnswer(res, apiRequestOf(req).id)
    await passThrough.forward(apiCallerOf(req), bodylessCall(req), answer)
  }
}
