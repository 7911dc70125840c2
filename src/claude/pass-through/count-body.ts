import type { RequestFacts } from './request-facts.ts'

/** What `POST /v1/messages/count_tokens` takes of a call, and what adds to its prompt. */
const COUNTED = new Set([
  'model',
  'messages',
  'system',
  'tools',
  'tool_choice',
  'thinking',
  'output_config',
  'output_format',
  'mcp_servers',
])

/** The members that can be counted, as parts of the same bytes: megabytes are not copied. */
export function countBody(body: Buffer, { members }: RequestFacts): Buffer[] {
  const parts: Buffer[] = []
  members.forEach(({ name, start }, index) => {
    if (!COUNTED.has(name)) return
    parts.push(parts.length === 0 ? OPEN : COMMA)
    parts.push(withoutEnd(body, start, members[index + 1]?.start ?? body.length))
  })
  return [...parts, CLOSE]
}

/** Without what follows a member: white space around a comma, or around the end of the body. */
function withoutEnd(body: Buffer, start: number, next: number): Buffer {
  const separator = lastInk(body, next)
  return body.subarray(start, lastInk(body, separator) + 1)
}

function lastInk(body: Buffer, before: number): number {
  let at = before - 1
  while (SPACE.has(body[at] as number)) at -= 1
  return at
}

/** Of JSON: space, tab, and both ends of a line. */
const SPACE = new Set([0x20, 0x09, 0x0d, 0x0a])
const [OPEN, COMMA, CLOSE] = [Buffer.of(0x7b), Buffer.of(0x2c), Buffer.of(0x7d)]
