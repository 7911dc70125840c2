/**
 * A stand-in for Claude that does as little as possible: it must never be what limits a case.
 *
 * POST /v1/messages (JSON or events) and GET /v1/models. PUT /bench changes how it answers and
 * starts its counters anew; GET /bench tells them.
 */

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { json } from 'node:stream/consumers'
import {
  DELTA,
  MODEL,
  messageJson,
  STREAM_END,
  stampedDelta,
  streamStart,
} from './claude-answer.ts'

export type UpstreamBehaviour = {
  /** Before the first byte of an answer. */
  latencyMs: number
  /** Pieces of text in an answer. */
  deltas: number
  /** Between the pieces; 0 sends a whole stream at once. */
  deltaMs: number
}

export type UpstreamCounts = { requests: number; open: number; mostOpen: number }

const STREAM = Buffer.from('"stream":true')
const DAY_END = '2030-01-01T00:00:00Z'

const LIMIT_HEADERS = Object.fromEntries(
  ['requests', 'tokens', 'input-tokens', 'output-tokens'].flatMap((unit) => [
    [`anthropic-ratelimit-${unit}-limit`, '400000'],
    [`anthropic-ratelimit-${unit}-remaining`, '399999'],
    [`anthropic-ratelimit-${unit}-reset`, DAY_END],
  ]),
)
const ORGANIZATION = { 'anthropic-organization-id': '5ad1f00d-0000-4000-8000-c1a0de57a9d1' }

let behaviour: UpstreamBehaviour = { latencyMs: 0, deltas: 10, deltaMs: 0 }
const counts: UpstreamCounts = { requests: 0, open: 0, mostOpen: 0 }

const server = createServer((req, res) => {
  if (req.url?.startsWith('/v1/messages')) readMessages(req, res)
  else if (req.url?.startsWith('/v1/models')) sendJson(res, MODELS)
  else void control(req, res)
})
server.keepAliveTimeout = 120_000
server.listen(Number(process.env.PORT), '127.0.0.1')

const MODELS = JSON.stringify({
  data: [{ type: 'model', id: MODEL, display_name: MODEL, created_at: DAY_END }],
  has_more: false,
  first_id: MODEL,
  last_id: MODEL,
})

function readMessages(req: IncomingMessage, res: ServerResponse): void {
  let isStream = false
  counts.requests += 1
  counts.open += 1
  counts.mostOpen = Math.max(counts.mostOpen, counts.open)
  res.on('close', () => {
    counts.open -= 1
  })
  // Looked for in each piece: clients put it at the end, and a missed one fails the case's check.
  req.on('data', (chunk: Buffer) => {
    isStream ||= chunk.includes(STREAM)
  })
  req.on('end', () => {
    if (behaviour.latencyMs === 0) answer(res, isStream)
    else setTimeout(answer, behaviour.latencyMs, res, isStream)
  })
}

function answer(res: ServerResponse, isStream: boolean): void {
  const number = String(counts.requests).padStart(12, '0')
  const headers = { 'request-id': `req_01Bench${number}`, ...ORGANIZATION, ...LIMIT_HEADERS }
  const id = `msg_01Bench${number}`
  if (isStream) sendEvents(res, id, headers)
  else sendJson(res, messageJson(id, behaviour.deltas), headers)
}

function sendEvents(res: ServerResponse, id: string, headers: Record<string, string>): void {
  const type = 'text/event-stream; charset=utf-8'
  res.writeHead(200, { 'content-type': type, 'cache-control': 'no-cache', ...headers })
  if (behaviour.deltaMs > 0) dripEvents(res, id)
  else res.end(streamStart(id) + stampedDelta() + DELTA.repeat(behaviour.deltas - 1) + STREAM_END)
}

/** The first piece of text comes with the first byte. */
function dripEvents(res: ServerResponse, id: string): void {
  let left = behaviour.deltas - 1
  res.write(streamStart(id) + stampedDelta())
  const timer = setInterval(() => {
    if (left > 0) res.write(DELTA)
    else res.end(STREAM_END)
    left -= 1
    if (left < 0) clearInterval(timer)
  }, behaviour.deltaMs)
  res.on('close', () => clearInterval(timer))
}

function sendJson(res: ServerResponse, body: string, headers: Record<string, string> = {}): void {
  const length = Buffer.byteLength(body)
  res.writeHead(200, { 'content-type': 'application/json', 'content-length': length, ...headers })
  res.end(body)
}

async function control(req: IncomingMessage, res: ServerResponse): Promise<void> {
  if (req.method === 'PUT') {
    behaviour = (await json(req)) as UpstreamBehaviour
    Object.assign(counts, { requests: 0, mostOpen: counts.open })
  }
  sendJson(res, JSON.stringify(counts))
}
