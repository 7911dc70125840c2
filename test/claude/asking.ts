import { afterAll, afterEach, beforeAll } from 'vitest'
import type { ChatRequest } from '../../src/claude/chat-request.ts'
import { AnthropicClaude, type ClaudeOutcome } from '../../src/claude/client.ts'
import { resolveModel } from '../../src/claude/models.ts'
import { buildRequest } from '../../src/claude/request.ts'
import type { Limits as Watched } from '../../src/claude/transport/call-deadline.ts'
import { type ClaudeStandIn, startClaudeStandIn } from '../support/claude-stand-in/server.ts'

export const KEY = 'sk-ant-api03-the-key-of-ada'

type Limits = Watched & { maxConnections: number }

/** A stand-in for the file that calls this, empty before each test, and clients that talk to it. */
export function useClaude(standInOptions: Parameters<typeof startClaudeStandIn>[0] = {}) {
  let standIn: ClaudeStandIn
  const clients: AnthropicClaude[] = []
  const connect = (limits: Partial<Limits> = {}, baseUrl = standIn.url) => {
    const usual = { deadlineMs: 10_000, idleMs: 5_000, firstTokenMs: 5_000 }
    const claude = new AnthropicClaude({ baseUrl, ...usual, ...limits })
    clients.push(claude)
    return claude
  }

  beforeAll(async () => {
    standIn = await startClaudeStandIn(standInOptions)
  })
  afterEach(async () => {
    await Promise.all(clients.splice(0).map((client) => client.close()))
    standIn.reset()
    standIn.setValidKeys(undefined)
  })
  afterAll(() => standIn.close())

  return {
    get standIn() {
      return standIn
    },
    connect,
    /** Asks with a fresh client. */
    ask: (more: Partial<ChatRequest> = {}, limits: Partial<Limits> = {}): Promise<ClaudeOutcome> =>
      connect(limits).answer(KEY, requestFor(more), { signal: new AbortController().signal }),
  }
}

/** An address at which nobody listens. */
export async function deadUrl(): Promise<string> {
  const standIn = await startClaudeStandIn()
  await standIn.close()
  return standIn.url
}

export function requestFor({ model = 'claude-sonnet-5-5', ...more }: Partial<ChatRequest> = {}) {
  const { id, info } = resolveModel(model, 'refuse', new Date('2026-11-22T12:00:00Z'))
  return buildRequest({
    model: id,
    info,
    history: [],
    message: 'Hello there, Claude.',
    maxTokens: 1024,
    thinking: 'off',
    endUserId: 'hash-of-ada',
    ...more,
  })
}
