/**
 * Conversations in an export of ChatGPT: a tree of messages. The path to the one that was shown last
 * is the conversation; the paths to its other leaves are branches, each a conversation of its own.
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
  const { nodes, current } = treeOf(element)
  const id = element.conversation_id ?? element.id
  return readPath({ element, id }, pathTo(nodes, current), note, now)
}

/** The id of a branch is that of the first node which is on no path before: it stays when the branch grows. */
export function* readBranches(element: Fields, note: NoteBlock, now: Date): Generator<ReadElement> {
  const { nodes } = treeOf(element)
  const id = storable(element.conversation_id ?? element.id)
  for (const { leaf, first } of branchesOf(element)) {
    const whole = id === '' ? { element, branch: first } : element
    const named = { ...element, id: id === '' ? undefined : `${id}:${first}` }
    yield readPath({ element: named, id: named.id, whole }, pathTo(nodes, leaf), note, now)
  }
}

export const countBranches = (element: Fields) => [...branchesOf(element)].length

type Named = { element: Fields; id: unknown; whole?: object }

function readPath(
  { element, id, whole = element }: Named,
  path: readonly Fields[],
  note: NoteBlock,
  now: Date,
): ReadElement {
  const messages = path.filter(isShown)
  const beganAt = timeOf(element.create_time, now)
  const firstAt = messages.map((message) => timeOf(message.create_time, now)).find(Boolean)
  const turns = new Turns(beganAt ?? firstAt ?? now)
  for (const message of messages) {
    const role = isRecord(message.author) && message.author.role === 'user' ? 'user' : 'assistant'
    turns.addText(role, textOfMessage(message, note), timeOf(message.create_time, now))
  }
  return finished({
    source: 'chatgpt',
    id,
    title: element.title,
    updatedAt: timeOf(element.update_time, now),
    turns,
    element: whole,
  })
}

type Nodes = ReadonlyMap<string, unknown>

/** Some exports do not say which node is current. */
function treeOf({ mapping, current_node: current }: Fields) {
  const nodes: Nodes = new Map(Object.entries(mapping as Fields))
  const isThere = typeof current === 'string' && nodes.has(current)
  return { nodes, current: isThere ? current : leavesOf(nodes).at(-1) }
}

const leavesOf = (nodes: Nodes): string[] =>
  [...nodes].flatMap(([id, node]) =>
    isRecord(node) && isRecord(node.message) && listOf(node.children).length === 0 ? [id] : [],
  )

/** From a node up to the root, or to one that was visited. Ends where the way does, or repeats. */
function* upwards(nodes: Nodes, from: string | undefined, visited: Set<string>) {
  let id = from
  while (id !== undefined && !visited.has(id)) {
    visited.add(id)
    const node = nodes.get(id)
    if (!isRecord(node)) return
    yield { id, message: isRecord(node.message) ? node.message : undefined }
    id = typeof node.parent === 'string' ? node.parent : undefined
  }
}

/** Its messages, the oldest first. */
const pathTo = (nodes: Nodes, leaf: string | undefined): Fields[] =>
  [...upwards(nodes, leaf, new Set())]
    .map(({ message }) => message)
    .filter((message) => message !== undefined)
    .reverse()

/** The leaves that end a path of which something shown is on no path before. */
function* branchesOf(element: Fields): Generator<{ leaf: string; first: string }> {
  const { nodes, current } = treeOf(element)
  const visited = new Set<string>()
  for (const _ of upwards(nodes, current, visited));
  for (const leaf of leavesOf(nodes)) {
    const own = [...upwards(nodes, leaf, visited)]
    const first = own.at(-1)?.id
    if (first !== undefined && own.some(({ message }) => message && isShown(message))) {
      yield { leaf, first }
    }
  }
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
