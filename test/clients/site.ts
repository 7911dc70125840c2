/** What the clients are tried against: the built gateway, a stand-in for Claude, one person. */

import { join } from 'node:path'
import { MCP_PATH } from '../../src/network/mcp-addresses.ts'
import { startClaudeStandIn } from '../support/claude-stand-in/server.ts'
import { freePort } from '../support/free-port.ts'
import { startGatewayProcess } from '../support/gateway-process.ts'
import { newPerson, type Person } from '../support/oauth-person.ts'
import { startModel } from './model/server.ts'

export type Site = {
  mcpUrl: string
  /** Signs up at the first client, and approves all of them. */
  person: Person
  /** Makes a personal access token, as the user of a client that cannot sign in does. */
  newToken(): Promise<string>
  /** Of what agents are told is their model; each API under its own path. */
  modelUrl: string
  close(): Promise<void>
}

/** A message with this word in it is answered over 70 seconds, every other one by its echo. */
export const SLOWLY = 'slowly'
/** The last words of the slow answer. */
export const LAST_WORDS = 'and that was the end of it.'

const CHUNK_SIZE = 32
const SLOW_CHUNKS = 70

export async function openSite(folder: string): Promise<Site> {
  const claude = await startClaudeStandIn({ chunkSize: CHUNK_SIZE, chunkDelayMs: 1000 })
  claude.setReply(({ messages }) =>
    JSON.stringify(messages.at(-1)).includes(SLOWLY) ? { text: slowAnswer() } : {},
  )
  const model = await startModel()
  const port = await freePort()
  const gateway = await startGatewayProcess({
    PORT: String(port),
    DATA_DIR: join(folder, 'data'),
    ANTHROPIC_BASE_URL: claude.url,
    // As it is for everybody: where the clients' documents cannot be fetched, they register.
    CLIENT_ID_DOCUMENTS: 'auto',
  })
  return {
    mcpUrl: `${gateway.url}${MCP_PATH}`,
    person: newPerson(gateway.url),
    newToken: () => signUpForToken(newPerson(gateway.url)),
    modelUrl: model.url,
    async close() {
      await model.close()
      await gateway.stop()
      await claude.close()
    },
  }
}

async function signUpForToken(person: Person): Promise<string> {
  const { username, password, apiKey, browser } = person
  await browser.open('/sign-up')
  await browser.submit('/sign-up', { username, password, email: `${username}@example.com` })
  await browser.submit('/account/key', { key: apiKey })
  return person.newAccessToken('A client')
}

/** No line is like another: agents take repetition for a model that is stuck. */
function slowAnswer(): string {
  const lines = Array.from({ length: SLOW_CHUNKS }, (_, i) => `Line ${i} of a long story`)
  return lines.map((line) => `${line.padEnd(CHUNK_SIZE - 1)}\n`).join('') + LAST_WORDS
}
