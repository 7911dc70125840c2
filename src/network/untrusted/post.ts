/**
 * Sends one request to a receiver whose address a user typed in: https only, public addresses only
 * (reach-policy.ts), no redirects, and of the answer only its status.
 */

import { request } from 'node:https'
import { VERSION } from '../../version.ts'
import { type Outgoing, tunnelFailureOf } from '../outgoing.ts'
import { ProxyUnreached } from './fetch-reasons.ts'
import { addressOf, end, lookupOf, refuseInside } from './reach-policy.ts'

type Posted = { headers: Record<string, string>; body: string }

/** More of an answer is not read; the connection is closed. */
const MAX_ANSWER_BYTES = 64 * 1024
const OWN_HEADERS = {
  'content-type': 'application/json',
  'user-agent': `claude-api-gateway/${VERSION}`,
}

/**
 * @param privateHosts names that may lie at private addresses.
 * @returns the HTTP status of the answer: errors and redirects are not thrown.
 * @throws Error when there was none.
 */
export async function postToUntrusted(
  given: string,
  { headers, body }: Posted,
  { privateHosts, outgoing, signal }: Way,
): Promise<number> {
  const url = new URL(given)
  if (url.protocol !== 'https:') throw new Error('only https is sent to')
  const all = { ...headers, ...OWN_HEADERS }
  if (outgoing.proxyFor(url) !== undefined) {
    await refuseInside(url.hostname, privateHosts, signal)
    return postByProxy(url, { headers: all, body }, { outgoing, signal })
  }
  const address = await addressOf(url.hostname, privateHosts, signal)
  return post(url, address, { headers: all, body }, signal)
}

type Way = { privateHosts: readonly string[]; outgoing: Outgoing; signal: AbortSignal }

async function postByProxy(
  url: URL,
  posted: Posted,
  { outgoing, signal }: Omit<Way, 'privateHosts'>,
): Promise<number> {
  const asked = outgoing.requestByProxy(url, { method: 'POST', ...posted, signal })
  // A request whose tunnel is still opening ignores its signal.
  const { status, body } = await Promise.race([asked, end(signal)]).catch((error: unknown) => {
    const failure = tunnelFailureOf(error)
    throw failure && 'code' in failure ? new ProxyUnreached(failure.code) : error
  })
  let bytes = 0
  for await (const chunk of body) {
    bytes += chunk.length
    if (bytes > MAX_ANSWER_BYTES) break
  }
  return status
}

function post(
  url: URL,
  address: string,
  { headers, body }: Posted,
  signal: AbortSignal,
): Promise<number> {
  return new Promise((resolve, reject) => {
    const sent = Buffer.from(body)
    const call = request(
      url,
      {
        method: 'POST',
        headers: { ...headers, 'content-length': sent.length },
        signal,
        agent: false,
        lookup: lookupOf(address),
      },
      (answer) => {
        const status = answer.statusCode ?? 0
        let bytes = 0
        answer.on('data', (chunk: Buffer) => {
          bytes += chunk.length
          if (bytes <= MAX_ANSWER_BYTES) return
          resolve(status)
          call.destroy()
        })
        answer.on('error', reject)
        answer.on('end', () => resolve(status))
      },
    )
    call.on('error', reject)
    call.end(sent)
  })
}
