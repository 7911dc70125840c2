/** A client of the Messages API that sends call after call, each once, and sometimes leaves. */

import { randomBytes, randomInt } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { runSql } from '../support/database-supplies.ts'
import type { Habits } from './sender.ts'

/** How many there are beside those of MCP. Each has one call at a time. */
export const API_CLIENTS = 5

/** What such clients were told. */
export class ApiObservations {
  /** The marker of each call that was sent. */
  readonly sent = new Set<string>()
  /** The answers that came whole: the id that Anthropic gave them, and the tokens it counted. */
  readonly whole = new Map<string, { id: string; outputTokens: number }>()
  /** Answers of the gateway's own with a status that explains nothing. */
  readonly unexplained: string[] = []
}

const MODEL = 'claude-haiku-5-5'
const TIMEOUT_MS = 15_000

/**
 * Makes a personal token, which otherwise takes a browser.
 *
 * @param teamId the team that pays for it; undefined: its user does.
 */
export async function insertApiToken(
  databaseUrl: string,
  userId: string,
  teamId?: string,
): Promise<string> {
  const token = `cag_${randomBytes(32).toString('base64url')}`
  await runSql(
    databaseUrl,
    `insert into sessions (id, user_id, kind, name, scopes, purses, token_hash, expires_at)
     values (gen_random_uuid(), '${userId}', 'personal', 'crash', '{messages:api}',
       '{${teamId ?? ''}}', sha256('${token}'), now() + interval '1 day')`,
  )
  return token
}

export class ApiSender {
  readonly #url: string
  readonly #token: string
  readonly #seen: ApiObservations
  readonly #habits: Habits

  constructor(url: string, token: string, seen: ApiObservations, habits: Habits) {
    this.#url = url
    this.#token = token
    this.#seen = seen
    this.#habits = habits
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const marker = `key-${randomBytes(8).toString('hex')}`
      this.#seen.sent.add(marker)
      // Whatever went wrong on the way: the checks ask the ledger.
      await this.#send(marker).catch(() => {})
      await sleep(randomInt(200))
    }
  }

  async #send(marker: string): Promise<void> {
    const isLeaving = randomInt(100) < this.#habits.vanishPercent
    const leaving = isLeaving ? AbortSignal.timeout(1 + randomInt(2500)) : undefined
    const response = await fetch(`${this.#url}/v1/messages`, {
      method: 'POST',
      signal: leaving ?? AbortSignal.timeout(TIMEOUT_MS),
      headers: {
        'x-api-key': this.#token,
        'anthropic-version': '2023-06-01',
        'content-type': 'application/json',
        // The ledger knows the call by it.
        'x-claude-code-session-id': marker,
      },
      body: JSON.stringify({
        model: MODEL,
        max_tokens: 1000,
        stream: true,
        messages: [{ role: 'user', content: `${marker} ${'lorem ipsum '.repeat(randomInt(60))}` }],
      }),
    })
    const text = await response.text()
    if (response.status === 500) this.#seen.unexplained.push(`${marker}: ${text.slice(0, 200)}`)
    const id = response.headers.get('request-id')
    if (response.status === 200 && text.includes('event: message_stop') && id !== null) {
      this.#seen.whole.set(marker, { id, outputTokens: outputTokensIn(text) })
    }
  }
}

/** As the last event that tells them has them. */
function outputTokensIn(text: string): number {
  const counts = [...text.matchAll(/"output_tokens":(\d+)/g)]
  return Number(counts.at(-1)?.[1] ?? Number.NaN)
}
