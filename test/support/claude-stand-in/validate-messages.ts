import { invalid } from './api-error.ts'
import type { Model } from './model-profiles.ts'
import { signedBy } from './signature.ts'
import { checkCacheControl, expectThat, forbidOthers, isObject } from './validate-shape.ts'
import { type ApiVersion, blocksOf, type ContentBlock, type MessagesRequest } from './wire.ts'

const MAX_MESSAGES = 100_000
const ROLES = ['user', 'assistant', 'system']

/** The fields of the block types a chat replays. Other known types are accepted unread. */
const BLOCK_FIELDS = new Map(
  Object.entries({
    text: { required: ['text'], optional: ['cache_control', 'citations'] },
    thinking: { required: ['thinking', 'signature'], optional: [] },
    redacted_thinking: { required: ['data'], optional: [] },
    image: { required: ['source'], optional: ['cache_control'] },
    tool_use: { required: ['id', 'name', 'input'], optional: ['cache_control', 'caller'] },
  }),
)
const OTHER_BLOCKS =
  /^(document|search_result|container_upload|compaction|[a-z_]*tool_(use|result))$/

/** Each message is `{role, content}` and each block has exactly the fields of its type. */
export function checkShapes({ messages }: MessagesRequest, version: ApiVersion): void {
  if (messages.length > MAX_MESSAGES) {
    throw invalid(`messages: at most ${MAX_MESSAGES} messages are allowed`)
  }
  for (const [index, message] of messages.entries()) {
    const at = `messages.${index}`
    expectThat(isObject(message), at, 'a valid object')
    const { role, content, ...rest } = message as unknown as Record<string, unknown>
    forbidOthers(rest, at)
    if (role === undefined) throw invalid(`${at}.role: Field required`)
    if (content === undefined) throw invalid(`${at}.content: Field required`)
    if (typeof content === 'string') continue
    expectThat(Array.isArray(content), `${at}.content`, 'a string or a list of content blocks')
    for (const [place, block] of (content as unknown[]).entries()) {
      checkBlock(block, `${at}.content.${place}`)
      if (version === '2026-10-21')
        checkNewRules(block as ContentBlock, role, `${at}.content.${place}`)
    }
  }
}

/** @throws ApiError 400 for a role the API does not have, or the model does not take. */
export function checkRoles({ messages }: MessagesRequest, model: Model): void {
  for (const [index, { role }] of messages.entries()) {
    expectThat(ROLES.includes(role), `messages.${index}.role`, "'user', 'assistant' or 'system'")
    if (role === 'system' && !model.systemMessages) {
      throw invalid(
        `messages.${index}.role: 'system' is not supported for this model. Use the top-level \`system\` parameter.`,
      )
    }
  }
}

/** Content is never empty, save in a final assistant message, and text is never blank. */
export function checkContent({ messages }: MessagesRequest): void {
  const empty = messages.findIndex(({ role, content }, index) => {
    const isFinalAssistant = index === messages.length - 1 && role === 'assistant'
    return content.length === 0 && !isFinalAssistant
  })
  if (empty >= 0) {
    throw invalid(
      `messages.${empty}: all messages must have non-empty content except for the optional final assistant message`,
    )
  }
  const isBlank = ({ type, text }: ContentBlock) => type === 'text' && text?.trim() === ''
  if (messages.some(({ content }) => blocksOf(content).some(isBlank))) {
    throw invalid('messages: text content blocks must be non-empty')
  }
}

/** Thinking must be signed, and by this model unless the model drops foreign thinking. */
export function checkSignatures({ messages }: MessagesRequest, model: Model): void {
  for (const [index, { content }] of messages.entries()) {
    if (typeof content === 'string') continue
    for (const [place, { type, thinking = '', signature = '' }] of content.entries()) {
      if (type !== 'thinking') continue
      const signer = signedBy(thinking, signature)
      if (signer === model.id || (signer && model.foreignThinking === 'drop')) continue
      throw invalid(
        `messages.${index}.content.${place}: Invalid \`signature\` in \`thinking\` block`,
      )
    }
  }
}

/** The first message is the user's; the last one too, unless the model takes a prefill. */
export function checkEnds({ messages }: MessagesRequest, model: Model): void {
  if (messages[0]?.role !== 'user') {
    throw invalid('messages: first message must use the "user" role')
  }
  const last = messages.at(-1)
  if (last?.role !== 'assistant') return
  if (!model.prefill) {
    throw invalid(
      'This model does not support assistant message prefill. The conversation must end with a user message.',
    )
  }
  if (/\s$/.test(blocksOf(last.content).at(-1)?.text ?? '')) {
    throw invalid('messages: final assistant content cannot end with trailing whitespace')
  }
}

function checkBlock(block: unknown, at: string): void {
  expectThat(isObject(block), at, 'a valid object')
  const { type, ...fields } = block as Record<string, unknown>
  const known = BLOCK_FIELDS.get(String(type))
  const isKnown = known !== undefined || OTHER_BLOCKS.test(String(type))
  expectThat(isKnown, `${at}.type`, 'a content block type')
  if (fields.cache_control != null) checkCacheControl(fields.cache_control, `${at}.cache_control`)
  if (!known) return
  const missing = known.required.find((field) => fields[field] === undefined)
  if (missing) throw invalid(`${at}.${type}.${missing}: Field required`)
  for (const field of ['text', 'thinking', 'signature', 'data']) {
    if (field in fields)
      expectThat(typeof fields[field] === 'string', `${at}.${type}.${field}`, 'a valid string')
  }
  const allowed = new Set<string>([...known.required, ...known.optional])
  const extra = Object.keys(fields).find((field) => !allowed.has(field))
  if (extra !== undefined) throw invalid(`${at}.${type}.${extra}: Extra inputs are not permitted`)
}

/** What version 2026-10-21 newly refuses in messages (Anthropic API docs: Versioning). */
function checkNewRules(block: ContentBlock, role: unknown, at: string): void {
  if (role === 'assistant' && block.type === 'document') {
    throw invalid(`${at}: document blocks are not permitted in assistant messages`)
  }
  const citations = block.type === 'text' ? block.citations : undefined
  if (role === 'user' && Array.isArray(citations) && citations.length > 0) {
    throw invalid(`${at}.text.citations: citations are not permitted in user messages`)
  }
}
