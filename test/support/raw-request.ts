/** HTTP requests whose path and headers go out exactly as given. */

import { type IncomingMessage, request } from 'node:http'
import { buffer } from 'node:stream/consumers'

export type RawAnswer = {
  status: number
  headers: IncomingMessage['headers']
  body: Buffer
  /** As JSON.parse gives it; undefined for a body that is no JSON. */
  json: ReturnType<typeof JSON.parse>
}

type Asked = {
  method?: string
  path: string
  /** Names and values in turn, or an object. */
  headers?: readonly string[] | Record<string, string>
  body?: Buffer | string
}

/** The answer once it has begun. */
export function openRequest(
  url: string,
  { method = 'POST', path, headers = {}, body }: Asked,
): Promise<IncomingMessage> {
  const { port, hostname } = new URL(url)
  return new Promise((resolve, reject) => {
    const options = { host: hostname, port, path, method, agent: false }
    const named = Array.isArray(headers) ? [...headers, 'host', `${hostname}:${port}`] : headers
    request({ ...options, headers: named as string[] }, resolve)
      .on('error', reject)
      .end(body)
  })
}

export async function rawRequest(url: string, asked: Asked): Promise<RawAnswer> {
  const answer = await openRequest(url, asked)
  const body = await buffer(answer)
  return { status: answer.statusCode ?? 0, headers: answer.headers, body, json: parsed(body) }
}

function parsed(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString())
  } catch {
    return undefined
  }
}
