import { type JsonHandler, JsonProblem } from './json-scanner.ts'
import type { RequestFacts, ServerTool } from './request-facts.ts'

/** What one open object or array has shown so far. */
class Frame {
  /** The name it has in its parent; '' for one that nothing depends on. */
  name = ''
  /** The name of the member being read. */
  member = ''
  isArray = false
  isBase64 = false
  /** Repeated and different: parsers may differ on which one counts. */
  isAmbiguous = false
  typed = ''
  mediaType = ''
  isRemote = false
  isImage = false
  dataBytes = 0
  models: string[] = []
  toolKind: string | null = null
  maxUses: number | null = null
  maxContentTokens: number | null = null

  reset(name: string, isArray: boolean): void {
    this.name = name
    this.member = ''
    this.isArray = isArray
    this.isBase64 = false
    this.isAmbiguous = false
    this.typed = ''
    this.mediaType = ''
    this.isRemote = false
    this.isImage = false
    this.dataBytes = 0
    if (this.models.length > 0) this.models = []
    this.toolKind = null
    this.maxUses = null
    this.maxContentTokens = null
  }
}

/** Names of nested members that matter. */
const NAMES = new Set([
  'type',
  'ttl',
  'data',
  'media_type',
  'source',
  'file_id',
  'model',
  'max_tokens',
  'max_uses',
  'max_content_tokens',
  'speed',
  'cache_control',
  'caching',
  'budget_tokens',
  'user_id',
  'input',
  'input_schema',
])
const LONGEST_NAME = 18
const OPAQUE = new Set(['input', 'input_schema'])
/** Where writes to the cache are asked for; an advisor has its own. */
const CACHES = new Set(['cache_control', 'caching'])
/** Longer values of these members mean nothing. */
const LONGEST_VALUE = 1024

/** Tools that Anthropic runs: `web_search_20250305`. Others with a date are run by the client. */
const SERVER_TOOL =
  /^(?:(web_search|web_fetch|code_execution|advisor|mcp_toolset|compact)_\d{8}|(tool_search)_tool_(?:regex|bm25)(?:_\d{8})?)$/
/** At least as long as the longest model id, and short enough to be shown. */
const MODEL = /^[\x21-\x7e]{1,200}$/
const MOST_TOKENS_DIGITS = 7

/** No client needs so many; without a bound a list could take more memory than its body. */
const MOST_FIELDS = 1000
const MOST_MODELS = 100
const MOST_TOOLS = 10_000

type Kind = 'string' | 'number' | 'true' | 'false' | 'null' | 'object' | 'array'

/**
 * Collects {@link RequestFacts}. Members may stand in any order and at any depth: what could make a
 * call dearer counts wherever it is found, and of repeated nested members the dearest.
 */
export class FactsReader implements JsonHandler {
  readonly #body: Buffer
  readonly #frames: Frame[] = []
  #depth = 0
  /** Names of top-level members in lower case: some parsers do not tell cases apart. */
  readonly #seen = new Set<string>()
  #top = ''
  #isObject = false
  #model: string | null = null
  #maxTokens: RequestFacts['maxTokens'] = null
  #isStream = false
  #isFast = false
  #endUserId: string | null = null
  #cacheWrites: RequestFacts['cacheWrites'] = 'none'
  #thinkingBudget: number | null = null
  #fallbackMaxTokens: number | null = null
  #hasOpenFallbacks = false
  /** Depth of a tool's input or schema, whose contents are text to the model; 0 outside of one. */
  #opaqueFrom = 0
  #embeddedBytes = 0
  #images = 0
  #documents = 0
  #remoteSources = 0
  #isCountable = true
  readonly #members: { name: string; start: number }[] = []
  #namesStored = false
  readonly #otherModels = new Set<string>()
  readonly #serverTools: ServerTool[] = []

  constructor(body: Buffer) {
    this.#body = body
  }

  /** @throws JsonProblem when the body is no object, or names no model. */
  facts(): RequestFacts {
    if (!this.#isObject) throw new JsonProblem('is not a JSON object')
    if (this.#model === null) throw new JsonProblem('lacks model, the name of one')
    return {
      model: this.#model,
      maxTokens: this.#maxTokens,
      isStream: this.#isStream,
      isFast: this.#isFast,
      endUserId: this.#endUserId,
      otherModels: [...this.#otherModels],
      hasOpenFallbacks: this.#hasOpenFallbacks,
      serverTools: this.#serverTools,
      cacheWrites: this.#cacheWrites,
      thinkingBudgetTokens: this.#thinkingBudget,
      fallbackMaxTokens: this.#fallbackMaxTokens,
      textBytes: this.#body.length - this.#embeddedBytes,
      images: this.#images,
      documents: this.#documents,
      remoteSources: this.#remoteSources,
      isCountable: this.#isCountable && this.#otherModels.size === 0 && !this.#hasOpenFallbacks,
      members: this.#members,
      namesStored: this.#namesStored,
    }
  }

  open(isArray: boolean): void {
    if (this.#depth === 0) this.#isObject = !isArray
    if (this.#depth === 1) this.#noteTop(isArray ? 'array' : 'object', 0, 0, false)
    const parent = this.#frame
    if (!isArray && CACHES.has(parent?.member ?? '')) this.#noteCacheWrite('5m')
    // The objects in an array have the array's own name.
    const name = parent === undefined ? '' : parent.isArray ? parent.name : parent.member
    const frame = this.#frames[this.#depth] ?? new Frame()
    frame.reset(name, isArray)
    this.#frames[this.#depth] = frame
    this.#depth += 1
    if (this.#opaqueFrom === 0 && OPAQUE.has(name)) this.#opaqueFrom = this.#depth
  }

  close(isArray: boolean): void {
    const frame = this.#frame
    const isOpaque = this.#opaqueFrom > 0
    if (this.#opaqueFrom === this.#depth) this.#opaqueFrom = 0
    this.#depth -= 1
    if (isArray || isOpaque || frame === undefined) return
    if (frame.isRemote) this.#remoteSources += 1
    if (frame.isBase64 && frame.dataBytes > 0) this.#noteEmbedded(frame)
    if (frame.toolKind !== null) this.#noteTool(frame, frame.toolKind)
    if (this.#top === 'fallbacks' || frame.toolKind === 'advisor') {
      for (const model of frame.models) this.#otherModels.add(model)
      requireAtMost(MOST_MODELS, this.#otherModels.size, 'models')
    }
  }

  key(start: number, end: number, isEscaped: boolean): void {
    const frame = this.#frame
    if (frame === undefined) return
    if (this.#depth === 1) this.#beginTop(this.#text(start, end, isEscaped), start - 1)
    const isPossible = isEscaped || end - start <= LONGEST_NAME
    const name = isPossible ? this.#text(start, end, isEscaped) : ''
    frame.member = NAMES.has(name) ? name : ''
  }

  string(start: number, end: number, isEscaped: boolean) {
    if (this.#depth === 1) return this.#noteTop('string', start, end, isEscaped)
    const frame = this.#frame
    if (frame === undefined) return
    if (frame.member === 'data') {
      frame.dataBytes += end - start
      return
    }
    if (this.#top === 'fallbacks') this.#noteFallbackText(frame, start, end, isEscaped)
    if (frame.member === '' || end - start > LONGEST_VALUE) {
      if (frame.member === 'user_id') this.#endUserId = null
      return
    }
    this.#noteText(frame, this.#text(start, end, isEscaped))
  }

  scalar(start: number, end: number, first: number) {
    if (this.#depth === 1) return this.#noteTop(kindOf(first), start, end, false)
    const frame = this.#frame
    if (frame === undefined || kindOf(first) !== 'number') return
    if (NUMBERS.has(frame.member)) {
      this.#noteNumber(frame, Number(this.#body.toString('latin1', start, end)))
    }
  }

  get #frame(): Frame | undefined {
    return this.#frames[this.#depth - 1]
  }

  #beginTop(name: string, start: number): void {
    const folded = name.toLowerCase()
    if (this.#seen.has(folded)) {
      throw new JsonProblem(`names ${shown(folded)} twice, and only one of them could count`)
    }
    this.#seen.add(folded)
    this.#members.push({ name, start })
    requireAtMost(MOST_FIELDS, this.#members.length, 'top-level fields')
    this.#top = name
  }

  #noteTop(kind: Kind, start: number, end: number, isEscaped: boolean): void {
    if (STORED.has(this.#top) && kind !== 'null') this.#namesStored = true
    if (this.#top === 'thread' && kind !== 'null') this.#noteThread()
    const check = TOP_LEVEL.get(this.#top)
    if (check === undefined) return
    const [kinds, expected] = check
    if (!kinds.includes(kind)) throw new JsonProblem(`has a ${this.#top} that is not ${expected}`)
    if (this.#top === 'model') this.#noteModel(this.#text(start, end, isEscaped))
    if (this.#top === 'max_tokens') this.#noteMaxTokens(start, end)
    if (this.#top === 'stream') this.#isStream = kind === 'true'
    if (this.#top === 'speed') {
      this.#isFast ||= kind === 'string' && this.#text(start, end, isEscaped) !== 'standard'
    }
    if (this.#top === 'fallbacks') this.#hasOpenFallbacks = kind === 'string'
    if (this.#top === 'mcp_servers' && kind === 'array') {
      this.#serverTools.push({ kind: 'mcp', maxUses: null, maxContentTokens: null })
    }
  }

  #noteModel(model: string): void {
    if (!MODEL.test(model)) throw new JsonProblem('has a model that is no name of one')
    this.#model = model
  }

  #noteMaxTokens(start: number, end: number): void {
    const digits = this.#body.toString('latin1', start, end)
    if (!/^\d+$/.test(digits)) {
      throw new JsonProblem(
        'has a max_tokens that is not a whole number in plain digits, such as 4096',
      )
    }
    if (digits.length > MOST_TOKENS_DIGITS) {
      throw new JsonProblem('has a max_tokens that no model can write')
    }
    this.#maxTokens = { value: Number(digits), start, end }
  }

  #noteText(frame: Frame, text: string): void {
    switch (frame.member) {
      case 'type':
        frame.isAmbiguous ||= frame.typed !== '' && frame.typed !== text
        frame.typed = text
        if (text === 'base64') frame.isBase64 = true
        else if (text === 'url' || text === 'file') this.#noteRemote(frame, text)
        else if (text === 'container_upload') frame.isRemote = true
        else frame.toolKind = toolKindOf(text) ?? frame.toolKind
        break
      case 'media_type':
        frame.isAmbiguous ||= frame.mediaType !== '' && frame.mediaType !== text
        frame.mediaType = text
        frame.isImage = /^image\//i.test(text)
        break
      case 'file_id':
        frame.isRemote = true
        this.#namesStored = true
        break
      case 'model':
        if (MODEL.test(text) && !frame.models.includes(text)) frame.models.push(text)
        requireAtMost(MOST_MODELS, frame.models.length, 'models')
        break
      case 'ttl':
        if (CACHES.has(frame.name) && text !== '5m') this.#noteCacheWrite('1h')
        break
      case 'user_id':
        if (this.#top === 'metadata' && this.#depth === 2) this.#endUserId = text
        break
      case 'cache_control':
        this.#noteCacheWrite('1h')
    }
  }

  #noteRemote(frame: Frame, type: 'url' | 'file'): void {
    if (frame.name !== 'source') return
    frame.isRemote = true
    // What an address holds may be longer the next time.
    if (type === 'url') this.#isCountable = false
  }

  /** The model reads it from where it began, and only its newest part is in the body. */
  #noteThread(): void {
    this.#remoteSources += 1
    this.#isCountable = false
  }

  #noteNumber(frame: Frame, value: number): void {
    const count = Math.min(Math.max(0, Math.ceil(value)), 1_000_000)
    if (frame.member === 'max_uses') frame.maxUses = Math.max(frame.maxUses ?? 0, count)
    else if (frame.member === 'max_content_tokens') {
      frame.maxContentTokens = Math.max(frame.maxContentTokens ?? 0, count)
    } else if (frame.member === 'budget_tokens') this.#noteThinkingBudget(count)
    else if (this.#top === 'fallbacks') {
      this.#fallbackMaxTokens = Math.max(this.#fallbackMaxTokens ?? 0, count)
    }
  }

  #noteThinkingBudget(tokens: number): void {
    const isOfCall = this.#top === 'thinking' && this.#depth === 2
    if (!isOfCall && this.#top !== 'fallbacks') return
    this.#thinkingBudget = Math.max(this.#thinkingBudget ?? 0, tokens)
  }

  /** A fallback may have another speed and length than the call. */
  #noteFallbackText({ member }: Frame, start: number, end: number, isEscaped: boolean): void {
    if (member === 'max_tokens') throw new JsonProblem('has a fallback whose max_tokens is a text')
    if (member !== '' && member !== 'speed') return
    const text = this.#text(start, end, isEscaped)
    if (member === 'speed') this.#isFast ||= text !== 'standard'
    else if (MODEL.test(text)) this.#otherModels.add(text)
    requireAtMost(MOST_MODELS, this.#otherModels.size, 'models')
  }

  #noteCacheWrite(ttl: '5m' | '1h'): void {
    if (this.#cacheWrites !== '1h') this.#cacheWrites = ttl
  }

  /** Elsewhere the same shape is text to the model, and costs as much. */
  #noteEmbedded({ name, isImage, isAmbiguous, dataBytes }: Frame): void {
    if (this.#top !== 'messages' || name !== 'source') return
    if (isImage && !isAmbiguous) this.#images += 1
    else this.#documents += 1
    if (!isAmbiguous) this.#embeddedBytes += dataBytes
  }

  #noteTool({ maxUses, maxContentTokens }: Frame, kind: string): void {
    this.#serverTools.push({ kind, maxUses, maxContentTokens })
    requireAtMost(MOST_TOOLS, this.#serverTools.length, 'tools that Anthropic runs')
  }

  #text(start: number, end: number, isEscaped: boolean): string {
    const text = this.#body.toString('utf8', start, end)
    return isEscaped ? String(JSON.parse(`"${text}"`)) : text
  }
}

/** Nested members whose numbers matter. */
const NUMBERS = new Set(['max_tokens', 'max_uses', 'max_content_tokens', 'budget_tokens'])

const toolKindOf = (type: string): string | undefined => {
  const [, dated, search] = SERVER_TOOL.exec(type) ?? []
  return dated ?? search
}

/** @throws JsonProblem */
function requireAtMost(most: number, found: number, what: string): void {
  if (found > most) throw new JsonProblem(`has more than ${most} ${what}`)
}

/** Top-level fields that name what earlier calls left at Anthropic. */
const STORED = new Set(['container', 'thread'])

const OPTIONAL_TEXT = [['string', 'null'], 'a text'] as const

/** The kinds of value that the fields which policy reads may have. */
const TOP_LEVEL = new Map<string, readonly [readonly Kind[], string]>(
  Object.entries({
    model: [['string'], 'a text'],
    max_tokens: [['number'], 'a whole number'],
    messages: [['array'], 'a list'],
    stream: [['true', 'false', 'null'], 'true or false'],
    speed: OPTIONAL_TEXT,
    service_tier: OPTIONAL_TEXT,
    inference_geo: OPTIONAL_TEXT,
    metadata: [['object', 'null'], 'an object'],
    thinking: [['object', 'null'], 'an object'],
    tools: [['array', 'null'], 'a list'],
    fallbacks: [['array', 'null', 'string'], 'a list'],
    mcp_servers: [['array', 'null'], 'a list'],
  } satisfies Record<string, readonly [readonly Kind[], string]>),
)

function kindOf(first: number): Kind {
  if (first === 0x74) return 'true'
  if (first === 0x66) return 'false'
  return first === 0x6e ? 'null' : 'number'
}

/** A name of the body, safe to repeat. */
const shown = (name: string) => (/^[\w.-]{1,64}$/.test(name) ? name : 'a field')
