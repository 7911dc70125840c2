/** What a body of `POST /v1/messages` says that policy needs. */

/** A tool that Anthropic runs itself, in rounds that each read the prompt again. */
export type ServerTool = {
  /** `web_search`, `web_fetch`, `code_execution`, `advisor`, …; `mcp` for MCP servers. */
  kind: string
  maxUses: number | null
  maxContentTokens: number | null
}

export type RequestFacts = {
  model: string
  /** Null only where the endpoint takes none. */
  maxTokens: { value: number; start: number; end: number } | null
  isStream: boolean
  /** Of the call, or of a fallback. */
  isFast: boolean
  /** `metadata.user_id`. */
  endUserId: string | null
  /** Further models that may serve: fallbacks and advisors. */
  otherModels: readonly string[]
  /** Whether Anthropic chooses what to fall back to: models that the body does not name. */
  hasOpenFallbacks: boolean
  serverTools: readonly ServerTool[]
  /** The dearest kind of cache write that is asked for. */
  cacheWrites: 'none' | '5m' | '1h'
  thinkingBudgetTokens: number | null
  /** The largest `max_tokens` of a fallback's own, which holds instead of that of the call. */
  fallbackMaxTokens: number | null
  /** Bytes of the body without those of images and documents in base64. */
  textBytes: number
  images: number
  /** Documents in base64, which have pages: their number is not known. */
  documents: number
  /** Sources by address or file id, and threads: their size is not known. */
  remoteSources: number
  /** Whether a count of its tokens still holds when it is sent: not where an address or a thread is read. */
  isCountable: boolean
  /** Where its top-level members begin, with their quotes, in the order of the body. */
  members: readonly { name: string; start: number }[]
  /** Whether it names files, containers or threads that Anthropic keeps. */
  namesStored: boolean
}
