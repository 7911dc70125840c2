import { createHash } from 'node:crypto'
import { explicitCacheControl, isCacheable, type Prompt, type Segment } from './tokens.ts'
import type { CacheControl, MessagesRequest } from './wire.ts'

const TTL_MS = { '5m': 5 * 60_000, '1h': 60 * 60_000 }
/** How many blocks, the breakpoint's own included, are searched for an earlier write. */
const LOOKBACK_BLOCKS = 20
const MAX_ENTRIES = 50_000

type Ttl = keyof typeof TTL_MS

export interface Breakpoint {
  /** Index into `prompt.segments` of the last block of the prefix. */
  index: number
  ttl: Ttl
}

export interface CacheUsage {
  inputTokens: number
  creation5mTokens: number
  creation1hTokens: number
  readTokens: number
}

/** Everything besides the prompt that a cached prefix depends on. */
export interface CacheScope {
  key: string
  modelId: string
  minTokens: number
  thinking: string
}

/** The block that a top-level `cache_control` marks: the last cacheable one. */
export function automaticIndex(prompt: Prompt): number {
  return prompt.segments.findLastIndex(({ block }) => isCacheable(block))
}

/** Explicit and automatic breakpoints, in prompt order. */
export function breakpointsOf(prompt: Prompt, automatic?: CacheControl | null): Breakpoint[] {
  const found = new Map<number, Ttl>()
  prompt.segments.forEach(({ block }, index) => {
    const control = explicitCacheControl(block)
    if (control) found.set(index, control.ttl ?? '5m')
  })
  const last = automaticIndex(prompt)
  if (automatic && last >= 0) found.set(last, automatic.ttl ?? '5m')
  return [...found].map(([index, ttl]) => ({ index, ttl })).sort((a, b) => a.index - b.index)
}

/**
 * Prompt caching as documented: a prefix is written at each breakpoint, found again by looking
 * back at most 20 blocks from a breakpoint, refreshed when read, and private to one API key
 * (Anthropic API docs: Prompt caching).
 */
export class PromptCache {
  readonly #entries = new Map<string, { expiresAt: number; ttlMs: number }>()
  readonly #now: () => number

  constructor(now: () => number) {
    this.#now = now
  }

  /** Reads and writes the cache for one request and splits its input tokens by class. */
  use(request: MessagesRequest, prompt: Prompt, scope: CacheScope): CacheUsage {
    const usage = {
      inputTokens: prompt.totalTokens,
      creation5mTokens: 0,
      creation1hTokens: 0,
      readTokens: 0,
    }
    const breakpoints = breakpointsOf(prompt, request.cache_control)
    const last = breakpoints.at(-1)
    if (!last) return usage

    const hashes = prefixHashes(request, prompt.segments.slice(0, last.index + 1), scope)
    const sizes = prefixTokens(prompt.segments)
    const sizeAt = (index: number) => sizes[index] ?? 0
    const eligible = breakpoints.filter(({ index }) => sizeAt(index) >= scope.minTokens)

    const hit = Math.max(-1, ...eligible.map(({ index }) => this.#newestHit(hashes, index)))
    this.#refresh(hashes[hit])
    for (const { index } of eligible) if (index < hit) this.#refresh(hashes[index])
    usage.readTokens = hit < 0 ? 0 : sizeAt(hit)

    let covered = usage.readTokens
    for (const { index, ttl } of eligible.filter((breakpoint) => breakpoint.index > hit)) {
      this.#write(hashes[index], TTL_MS[ttl])
      usage[ttl === '1h' ? 'creation1hTokens' : 'creation5mTokens'] += sizeAt(index) - covered
      covered = sizeAt(index)
    }
    usage.inputTokens -= covered
    return usage
  }

  clear(): void {
    this.#entries.clear()
  }

  #newestHit(hashes: string[], breakpoint: number): number {
    for (let i = breakpoint; i >= 0 && i > breakpoint - LOOKBACK_BLOCKS; i -= 1) {
      if (this.#live(hashes[i])) return i
    }
    return -1
  }

  #live(hash = '') {
    const entry = this.#entries.get(hash)
    return entry && entry.expiresAt > this.#now() ? entry : undefined
  }

  #refresh(hash?: string): void {
    const entry = this.#live(hash)
    if (entry) entry.expiresAt = this.#now() + entry.ttlMs
  }

  #write(hash = '', ttlMs: number): void {
    this.#entries.delete(hash)
    this.#entries.set(hash, { expiresAt: this.#now() + ttlMs, ttlMs })
    const oldest = this.#entries.keys().next()
    if (this.#entries.size > MAX_ENTRIES && !oldest.done) this.#entries.delete(oldest.value)
  }
}

/** Tokens up to and including each segment, without the framing that follows it. */
function prefixTokens(segments: Segment[]): number[] {
  let before = 0
  return segments.map(({ tokens, framingTokens }) => {
    const size = before + tokens
    before = size + framingTokens
    return size
  })
}

/** A hash chain: each hash covers the scope, every earlier block and its own. */
function prefixHashes(request: MessagesRequest, segments: Segment[], scope: CacheScope): string[] {
  const { output_config, tool_choice, speed } = request
  let chain = JSON.stringify([scope.key, scope.modelId, speed])
  const mode = JSON.stringify([scope.thinking, output_config, tool_choice])
  return segments.map(({ part, role, block }) => {
    const { cache_control: _, ...content } = block
    const modes = part === 'messages' ? mode : ''
    const hash = createHash('sha256').update(chain).update(modes).update(role)
    chain = hash.update(JSON.stringify(content)).digest('base64')
    return chain
  })
}
