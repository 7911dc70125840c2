/**
 * Which earlier messages go to Claude with a new one.
 *
 * When they no longer fit, a large step is cut off the front, at a user's turn, and the cut is
 * remembered. A window that slides by one turn would change the beginning of every request, and
 * with it miss Anthropic's prompt cache every time (Anthropic API docs: Prompt caching).
 */

import type { ContentBlock } from '../../claude/content.ts'
import { estimateTokens } from '../../claude/prices/tokens.ts'
import { isBlank } from '../../text/blank-text.ts'
import { textOf } from '../keys/vault.ts'

/** The earlier turns that go to Claude with a new message. */
export class SentHistory {
  /** How many messages they are. */
  readonly messages: number
  /** Position of the first of them. */
  readonly firstPosition: number | undefined
  #turns: readonly Turn[]

  constructor(turns: readonly Turn[]) {
    this.messages = turns.length * 2
    this.firstPosition = turns[0]?.position
    this.#turns = turns
  }

  get turns(): readonly Turn[] {
    return this.#turns
  }

  /** Once Claude has them: they may be large, and an answer may take minutes. */
  forget(): void {
    this.#turns = []
  }
}

/** A whole turn as it is sent. */
export type Turn = {
  /** Of the user's message. */
  position: number
  user: ContentBlock[]
  assistant: ContentBlock[]
  /** About so many. */
  tokens: number
}

export type HistoryLimits = {
  /** Messages in one request, the new one included. */
  maxMessages: number
  /** Tokens that the turns may take. */
  maxTokens: number
}

/** What is left after a cut, of either limit: the room until the next one. */
const KEPT_SHARE = 0.6

type OpenedMessage = { position: number; role: string; content: ContentBlock[] }

/**
 * Pairs up stored messages, the newest first. A turn of which one side has no text is nothing that
 * Claude accepts, and left out.
 */
export class TurnsFromNewest {
  readonly #turns: Turn[] = []
  #tokens = 0
  #answer: OpenedMessage | undefined

  add(message: OpenedMessage): void {
    const answer = this.#answer
    this.#answer = message.role === 'assistant' ? message : undefined
    if (message.role !== 'user' || answer?.position !== message.position + 1) return
    const [question, reply] = [textOf(message.content), textOf(answer.content)]
    if (isBlank(question) || isBlank(reply)) return
    const tokens = estimateTokens(question) + estimateTokens(reply)
    const { position, content } = message
    this.#turns.push({ position, user: content, assistant: withoutThinking(answer), tokens })
    this.#tokens += tokens
  }

  /** Whether they are more than may be sent: what is older need not be looked at then. */
  passes({ maxMessages, maxTokens }: HistoryLimits): boolean {
    return this.#turns.length * 2 + 1 > maxMessages || this.#tokens > maxTokens
  }

  oldestFirst(): Turn[] {
    return this.#turns.toReversed()
  }
}

/** It is never sent again, and may be many times as large as the text. */
const withoutThinking = ({ content }: OpenedMessage) =>
  content.filter(({ type }) => type !== 'thinking' && type !== 'redacted_thinking')

/** As Claude takes them. */
export function toMessages(turns: readonly Turn[]) {
  return turns.flatMap(({ user, assistant }) => [
    { role: 'user' as const, content: user },
    { role: 'assistant' as const, content: assistant },
  ])
}

/** The newest turns that fit; all of them while they do, a share of the limit once they do not. */
export function fitHistory(turns: readonly Turn[], limits: HistoryLimits): Turn[] {
  return keepNewestTokens(keepNewestMessages(turns, limits.maxMessages), limits.maxTokens)
}

/** For a request that Anthropic found too long all the same: about half of the text. */
export function halveHistory(turns: readonly Turn[]): Turn[] {
  const total = tokensOf(turns)
  const kept = newestWithin(turns, total / 2)
  return kept.length < turns.length ? kept : []
}

function keepNewestMessages(turns: readonly Turn[], maxMessages: number): readonly Turn[] {
  if (turns.length * 2 + 1 <= maxMessages) return turns
  const keptTurns = Math.floor((maxMessages * KEPT_SHARE) / 2)
  return keptTurns === 0 ? [] : turns.slice(-keptTurns)
}

function keepNewestTokens(turns: readonly Turn[], maxTokens: number): Turn[] {
  if (tokensOf(turns) <= maxTokens) return [...turns]
  return newestWithin(turns, maxTokens * KEPT_SHARE)
}

function newestWithin(turns: readonly Turn[], maxTokens: number): Turn[] {
  let first = turns.length
  for (let tokens = 0; first > 0; first--) {
    tokens += (turns[first - 1] as Turn).tokens
    if (tokens > maxTokens) break
  }
  return turns.slice(first)
}

const tokensOf = (turns: readonly Turn[]) => turns.reduce((sum, { tokens }) => sum + tokens, 0)
