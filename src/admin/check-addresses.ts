/** Checks whether PUBLIC_URL leads to this gateway, and under the same name. */

import type { Config } from '../config/config.ts'
import { isThisComputer } from '../network/loopback.ts'
import type { Finding } from './finding.ts'

const WITHIN_MS = 10_000
/** The documents that OAuth clients read first, and the field that must match the requested URL. */
const DOCUMENTS = [
  ['/.well-known/oauth-protected-resource/mcp', 'resource', '/mcp'],
  ['/.well-known/oauth-authorization-server', 'issuer', ''],
] as const

const setting = 'PUBLIC_URL'

export async function checkAddresses({ http }: Config): Promise<Finding> {
  const { publicUrl } = http
  for (const [path, field, suffix] of DOCUMENTS) {
    const problem = await problemOf(`${publicUrl}${path}`, field, `${publicUrl}${suffix}`)
    if (problem) return { setting, ...problem }
  }
  return {
    setting,
    state: 'ok',
    words: `${publicUrl} is this gateway, and OAuth clients can read it`,
  }
}

type Problem = Omit<Finding, 'setting'>

async function problemOf(
  url: string,
  field: string,
  expected: string,
): Promise<Problem | undefined> {
  const { pathname, origin } = new URL(url)
  const signal = AbortSignal.timeout(WITHIN_MS)
  const answer = await fetch(url, { redirect: 'manual', signal }).catch(
    (error: unknown) => error as Error,
  )
  if (answer instanceof Error) return unreached(origin, answer)
  const { status, headers } = answer
  if (status >= 300 && status < 400) {
    const location = headers.get('location') ?? ''
    const target = URL.canParse(location, url) ? new URL(location, url).origin : 'elsewhere'
    return wrong(`${origin} leads on to ${target}. Set PUBLIC_URL to where the gateway is itself.`)
  }
  const document = await answer.json().catch(() => undefined)
  const found = (document as Record<string, unknown> | undefined)?.[field]
  if (found === expected) return undefined
  if (typeof found === 'string') {
    return wrong(
      `${origin} answers with the ${field} ${found.slice(0, 200)}, and clients that were given ${origin} refuse that. Set PUBLIC_URL to what clients use, the same for the gateway that runs.`,
    )
  }
  return wrong(
    `Something else answers at ${origin} (HTTP ${status} for ${pathname}). Correct PUBLIC_URL, or the proxy in front: it must hand on every path.`,
  )
}

/** On this computer, a refused connection only means that the gateway is not running. */
function unreached(origin: string, error: Error): Problem {
  const cause = error.cause as NodeJS.ErrnoException | undefined
  const code = cause?.code ?? error.name
  if (isThisComputer(new URL(origin).hostname) && code === 'ECONNREFUSED') {
    return {
      state: 'unknown',
      words: `Nothing listens at ${origin}: start the gateway, then check again.`,
    }
  }
  return wrong(
    `${origin} cannot be reached from here (${code}). Start the gateway; if it runs, correct PUBLIC_URL, its name, its certificate or the proxy in front.`,
  )
}

const wrong = (words: string): Problem => ({ state: 'wrong', words })
