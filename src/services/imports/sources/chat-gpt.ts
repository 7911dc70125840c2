/**
 * Conversations in an export of ChatGPT: a tree of messages, of which the path to the one that was
 * shown last is taken. Other branches are left out.
 */

import type { NoteBlock, ReadElement } from './draft.ts'
import { finished } from './finished.ts'
import { isRecord, listOf, marker, storable, typeName } from './texts.ts'
import { timeOf } from './times.ts'
import { Turns } from './turns.ts'

type Fields = Record<string, unknown>

/** Thinking, and what ChatGPT was told about its user. */
const LEFT_OUT = ['thoughts', 'reasoning_recap', 'user_editable_context', 'model_editable_context']

export const isChatGpt = (element: Fields) => isRecord(element.mapping)

export function readChatGpt(element: Fields, note: NoteBlock, now: Date): ReadElement {
  const messages = activePath(element)
  const beganAt = timeOf(element.create_time, now)
  const firstAt = messages.map((message) => timeOf(message.create_time, now)).find(Boolean)
  const turns = new Turns(beganAt ?? firstAt ?? now)
  for (const message of messages) {
    const role = isRecord(message.author) && message.author.role === 'user' ? 'user' : 'assistant'
    turns.addText(role, textOfMessage(message, note), timeOf(message.create_time, now))
  }
  return finished({
    source: 'chatgpt',
    id: element.conversation_id ?? element.id,
    title: element.title,
    updatedAt: timeOf(element.update_time, now),
    turns,
    element,
  })
}

/** From the current node up to the root, the oldest first. Ends where the way does, or repeats. */
function activePath({ mapping, current_node: current }: Fields): Fields[] {
  const nodes = new Map(Object.entries(mapping as Fields))
  const path: Fields[] = []
  const visited = new Set<string>()
  let id = typeof current === 'string' && nodes.has(current) ? current : lastLeaf(nodes)
  while (id !== undefined && !visited.has(id)) {
    visited.add(id)
    const node = nodes.get(id)
    if (!isRecord(node)) break
    if (isRecord(node.message) && isShown(node.message)) path.push(node.message)
    id = typeof node.parent === 'string' ? node.parent : undefined
  }
  return path.reverse()
}

/** In an export that does not say which node is current. */
function lastLeaf(nodes: ReadonlyMap<string, unknown>): string | undefined {
  const leaves = [...nodes].filter(
    ([, node]) => isRecord(node) && isRecord(node.message) && listOf(node.children).length === 0,
  )
  return leaves.at(-1)?.[0]
}

function isShown({ author, metadata }: Fields): boolean {
  const isHidden = isRecord(metadata) && metadata.is_visually_hidden_from_conversation === true
  return isRecord(author) && author.role !== 'system' && !isHidden
}

function textOfMessage(message: Fields, note: NoteBlock): string {
  const content = isRecord(message.content) ? message.content : {}
  const type = typeName(content.content_type)
  if (LEFT_OUT.includes(type)) return ''
  const { author, recipient } = message
  if (isRecord(author) && author.role === 'tool') return fromTool(author, content, note)
  if (typeof recipient === 'string' && recipient !== 'all') {
    note('tool_use')
    return marker('tool_use', recipient)
  }
  if (type === 'code') return `\`\`\`\n${storable(content.text)}\n\`\`\``
  if (type === 'text' || type === 'multimodal_text') return textOfParts(content, note)
  note(type)
  return marker(type)
}

/** Tools show pictures; all else they return was for the model. */
function fromTool(author: Fields, content: Fields, note: NoteBlock): string {
  note('tool_result')
  const pictures = listOf(content.parts).filter(isRecord)
  return [marker('tool_result', author.name), ...pictures.map((part) => partOf(part, note))].join(
    '\n\n',
  )
}

const textOfParts = (content: Fields, note: NoteBlock) =>
  listOf(content.parts)
    .map((part) => (isRecord(part) ? partOf(part, note) : storable(part)))
    .filter((text) => text !== '')
    .join('\n\n')

function partOf(part: Fields, note: NoteBlock): string {
  const type = typeName(part.content_type)
  if (type === 'audio_transcription') return storable(part.text)
  note(type)
  return marker(type)
}
