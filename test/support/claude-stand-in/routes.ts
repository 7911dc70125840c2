import { ApiError } from './api-error.ts'
import { hasBeta, requireKey, requireVersion } from './credentials.ts'
import type { Exchange } from './exchange.ts'
import { inflict } from './inflict.ts'
import { postMessages } from './messages-route.ts'
import { listModels, retrieveModel } from './model-catalogue.ts'
import { resolveReply } from './reply.ts'
import type { State } from './state.ts'
import { checkRequest, requireObject } from './validation.ts'

/** Answers one API request whose body has been read. @throws ApiError for the caller to send. */
export async function route(state: State, exchange: Exchange): Promise<void> {
  const { method, path } = exchange.entry
  const { pathname, searchParams } = new URL(path, 'http://stand-in')
  const target = `${method} ${pathname}`
  if (target === 'POST /v1/messages') return postMessages(state, exchange)
  if (target === 'POST /v1/messages/count_tokens') return countTokens(state, exchange)
  if (target === 'GET /v1/models') return models(state, exchange, () => listModels(searchParams))
  const id = /^GET \/v1\/models\/([^/]+)$/.exec(target)?.[1]
  if (id === undefined) throw new ApiError(404, 'Not found')
  return models(state, exchange, () => retrieveModel(decodeURIComponent(id)))
}

async function countTokens(state: State, exchange: Exchange): Promise<void> {
  const { headers, json, body } = exchange.entry
  const fault = state.faults.take('count_tokens')
  requireKey(headers, state)
  const version = requireVersion(headers)
  const { prompt, request } = checkRequest(
    requireObject(json, body),
    'count_tokens',
    version,
    hasBeta(headers),
  )
  if (await inflict(fault, exchange)) return
  const { inputDensity = 1 } = resolveReply(request, state.reply)
  exchange.sendJson(200, JSON.stringify({ input_tokens: prompt.totalTokens * inputDensity }))
}

async function models(state: State, exchange: Exchange, read: () => unknown): Promise<void> {
  const fault = state.faults.take('models')
  requireKey(exchange.entry.headers, state)
  requireVersion(exchange.entry.headers)
  const found = JSON.stringify(read())
  if (await inflict(fault, exchange)) return
  exchange.sendJson(200, found)
}
