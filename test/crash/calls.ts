/** Tool calls through the balancer: as bare HTTP, and as the official clients make them. */

import { postCall, resultIn } from '../mcp/raw-call.ts'
import { connectClient, type Era, type TestClient } from '../support/clients.ts'

/** As JSON.parse gives it: `{success, data}` or `{success, error}`. */
export type Result = ReturnType<typeof JSON.parse>

export type Line = {
  /** @throws whatever went wrong on the way; nothing is known of the call then. */
  call(tool: string, args: Record<string, unknown>): Promise<Result>
  /** Breaks the connection under the call that is on its way, if any. */
  vanish(): Promise<void>
}

/** Longer than any wait_seconds of the load; a call that takes longer was forgotten by somebody. */
const TIMEOUT_MS = 15_000

/**
 * As HTTP clients do (RFC 9110, section 9.2.2): a call that can be repeated is, once, when its
 * connection ended before anything of an answer came.
 */
export function repeatingOnce(line: Line): Line {
  return {
    vanish: () => line.vanish(),
    call: (tool, args) =>
      line.call(tool, args).catch((error: unknown) => {
        const isSafe = tool.startsWith('get_') || args.idempotency_key !== undefined
        if (!isSafe || !endedUnanswered(error)) throw error
        return line.call(tool, args)
      }),
  }
}

/** Of `fetch`, which rejects by itself only before there is the head of an answer. */
function endedUnanswered(thrown: unknown): boolean {
  for (let error = thrown; error instanceof Error; error = error.cause) {
    const { code } = error as NodeJS.ErrnoException
    if (/^(UND_ERR_SOCKET|ECONNRESET|EPIPE)$/.test(code ?? '')) return isOfFetch(thrown)
  }
  return false
}

function isOfFetch(thrown: unknown): boolean {
  for (let error = thrown; error instanceof Error; error = error.cause) {
    if (error.message === 'fetch failed') return true
  }
  return false
}

export function openBareLine(url: string, era: Era, accessToken: string): Line {
  let connection = new AbortController()
  return {
    async call(tool, args) {
      connection = new AbortController()
      const signal = AbortSignal.any([connection.signal, AbortSignal.timeout(TIMEOUT_MS)])
      const headers = { Authorization: `Bearer ${accessToken}` }
      const response = await postCall(url, era, tool, args, { headers, signal })
      const text = await response.text()
      if (response.status !== 200) throw new Error(`HTTP ${response.status}`)
      return resultIn(text)
    },
    async vanish() {
      connection.abort()
    },
  }
}

export function openOfficialLine(url: string, era: Era, accessToken: string): Line {
  let client: TestClient | undefined
  const hangUp = async () => {
    const old = client
    client = undefined
    await old?.close().catch(() => {})
  }
  return {
    async call(tool, args) {
      client ??= await connectClient(era, url, accessToken)
      try {
        return (await client.call(tool, args, { timeout: TIMEOUT_MS })).structured
      } catch (error) {
        await hangUp()
        throw error
      }
    },
    vanish: hangUp,
  }
}
