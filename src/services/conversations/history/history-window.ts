/**
 * Chooses which earlier messages go to Claude with a new one.
 *
 * When they no longer fit, a large part is cut off the front, at a user's turn, and the cut is
 * stored. A window that slides by one turn would change the beginning of every request and miss
 * Anthropic's prompt cache every time (Anthropic API docs: Prompt caching).
 */

import type { ContentBlock } from '../../../claude/content.ts'
import { estimateTokens } from '../../../claude/prices/tokens.ts'
import { isBlank } from '../../../text/blank-text.ts'
import { textOf } from '../../keys/vault.ts'

/** The earlier turns that go to Claude with a new message. */
export class SentHistory {
  /** The number of messages in these turns. */
  readonly messages: number
  /** Position of the first message. */
  readonly firstPosition: number | undefined
  /** An estimate. */
  readonly tokens: number
  #turns: readonly Turn[]

  constructor(turns: readonly Turn[]) {
    this.messages = turns.length * 2
    this.firstPosition = turns[0]?.position
    this.tokens = tokensOf(turns)
    this.#turns = turns
  }

  get turns(): readonly Turn[] {
    return this.#turns
  }

  /** Frees the turns once Claude has them: they may be large, and an answer may take minutes. */
  forget(): void {
    this.#turns = []
  }
}

/** A whole turn as sent. */
export type Turn = {
  /** Of the user's message. */
  position: number
  user: ContentBlock[]
  assistant: ContentBlock[]
  /** An estimate. */
  tokens: number
}

export type HistoryLimits = {
  /** Messages in one request, the new one included. */
  maxMessages: number
  /** Tokens that the turns may take. */
  maxTokens: number
}

/** The share of a limit that is kept after a cut, which leaves room until the next one. */
const KEPT_SHARE = 0.6

type OpenedMessage = { position: number; role: string; content: ContentBlock[] }

/**
 * Pairs up stored messages, newest first. Leaves out a turn of which one side has no text, since
 * Claude does not accept it.
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

  /** Whether the turns already exceed a limit, so that older ones need not be read. */
  passes({ maxMessages, maxTokens }: HistoryLimits): boolean {
    return this.#turns.length * 2 + 1 > maxMessages || this.#tokens > maxTokens
  }

  oldestFirst(): Turn[] {
    return this.#turns.toReversed()
  }
}

/** Thinking is never sent again, and may be many times as large as the text. */
const withoutThinking = ({ content }: OpenedMessage) =>
  content.filter(({ type }) => type !== 'thinking' && type !== 'redacted_thinking')

/** In the format of Anthropic's API. */
export function toMessages(turns: readonly Turn[]) {
  return turns.flatMap(({ user, assistant }) => [
    { role: 'user' as const, content: user },
    { role: 'assistant' as const, content: assistant },
  ])
}

/** The newest turns that fit: all of them, or once they exceed a limit, a share of it. */
export function fitHistory(turns: readonly Turn[], limits: HistoryLimits): Turn[] {
  return keepNewestTokens(keepNewestMessages(turns, limits.maxMessages), limits.maxTokens)
}

/** For a request that Anthropic still found too long: keeps about half of the text. */
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
