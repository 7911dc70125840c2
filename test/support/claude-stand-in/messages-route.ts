import { ApiError, statusOfType } from './api-error.ts'
import { hasBeta, requireKey, requireVersion } from './credentials.ts'
import { type Exchange, newId } from './exchange.ts'
import { type Fault, isStreamFault } from './faults.ts'
import { inflict } from './inflict.ts'
import { type FinishedMessage, messageJson } from './message.ts'
import { tariffOf } from './price-book.ts'
import { rateLimitHeaders } from './rate-limit-headers.ts'
import { answer, effectiveThinking, resolveReply } from './reply.ts'
import type { State } from './state.ts'
import { CUT_DELAY_MS, type StreamJob, writeStream } from './stream.ts'
import { dense } from './tokens.ts'
import { type Checked, checkRequest, requireObject } from './validation.ts'

/**
 * `POST /v1/messages`. Each request uses up one scripted fault, but an invalid one is answered
 * with what is wrong with it: no fault may hide a bad request.
 *
 * @throws ApiError for the caller to send.
 */
export async function postMessages(state: State, exchange: Exchange): Promise<void> {
  const { headers, json, body } = exchange.entry
  const fault = state.faults.take('messages')
  const key = requireKey(headers, state)
  const version = requireVersion(headers)
  const checked = checkRequest(requireObject(json, body), 'messages', version, hasBeta(headers))
  if (fault && 'billed' in fault && fault.billed) {
    await answerUnheard(
      state,
      exchange,
      key,
      compose(state, checked, key, fault, exchange.requestId),
    )
  }
  if (await inflict(fault, exchange, state.latencyMs)) return

  const streamFault = isStreamFault(fault) ? fault : undefined
  const isStream = checked.request.stream === true
  if (!isStream && streamFault?.kind === 'stream_error') {
    throw new ApiError(
      statusOfType(streamFault.type),
      streamFault.message ?? 'Scripted by the test.',
    )
  }
  const message = compose(state, checked, key, fault, exchange.requestId)
  const onTokens = openAccount(state, key, message, exchange)
  const headersOut = rateLimitHeaders(state.now())
  const job = { exchange, message, headers: headersOut, fault: streamFault, onTokens }
  await (isStream ? writeStream(state, job) : writeJson(job))
}

function compose(
  state: State,
  checked: Checked,
  key: string,
  fault: Fault | undefined,
  requestId: string,
): FinishedMessage {
  const { request, model, prompt } = checked
  const thinking = [effectiveThinking(checked), request.thinking?.budget_tokens].join(':')
  const reply = resolveReply(request, fault?.kind === 'reply' ? fault.reply : state.reply)
  const scope = { key, modelId: model.id, minTokens: model.minCacheTokens, thinking }
  return {
    id: newId('msg'),
    requestId,
    modelId: model.id,
    answer: answer(checked, reply),
    cache: dense(state.cache.use(request, prompt, scope), reply.inputDensity),
    geo: reply.geo ?? null,
    calledModel: reply.calledModel,
    oddity: reply.oddity,
    alsoUsed: reply.alsoUsed ?? {},
  }
}

/** Writes a token a millisecond, which is as fast as any model is. */
async function answerUnheard(
  state: State,
  exchange: Exchange,
  key: string,
  message: FinishedMessage,
): Promise<void> {
  const onTokens = openAccount(state, key, message, exchange)
  const startedAt = performance.now()
  await exchange.wait(message.answer.outputTokens)
  onTokens(Math.min(message.answer.outputTokens, Math.floor(performance.now() - startedAt)))
}

/** Books the input now. @returns what books the output. */
function openAccount(
  { ledger }: State,
  key: string,
  { answer: { isBilled }, cache, geo, modelId }: FinishedMessage,
  { entry }: Exchange,
) {
  if (!isBilled) return () => {}
  const tariff = tariffOf(modelId, cache, geo)
  const call = ledger.addCall(key, cache, tariff)
  entry.billed = call
  return (tokens: number) => ledger.addOutput(key, call, tokens, tariff)
}

async function writeJson({
  exchange,
  message,
  headers,
  fault,
  onTokens,
}: StreamJob): Promise<void> {
  if (fault?.kind === 'stream_stall') return exchange.untilGone()
  onTokens(message.answer.outputTokens)
  const json = messageJson(message)
  if (!fault) return exchange.sendJson(200, json, headers)
  const length = String(Buffer.byteLength(json))
  exchange.begin(200, { 'content-type': 'application/json', 'content-length': length, ...headers })
  exchange.write(json.slice(0, json.length / 2))
  if (await exchange.wait(CUT_DELAY_MS)) exchange.destroy()
}
