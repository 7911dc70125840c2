/** One request of a case by itself, to see what it is answered with before it is repeated. */

import type { Call } from './calls.ts'
import type { Item } from './job.ts'

/** As JSON.parse gives it: what is not there fails the check that reads it. */
export type Answer = ReturnType<typeof JSON.parse>

/** @throws Error unless the answer is a good one. */
export async function askText(origin: string, call: Call, item: Item = {}): Promise<string> {
  const body = call.body.replaceAll('{{id}}', '1').replaceAll('{{value}}', item.value ?? '')
  const headers = { ...call.headers, ...item.headers }
  const response = await fetch(origin + call.path, { method: 'POST', headers, body })
  const text = await response.text()
  if (response.ok && text.includes(call.expect)) return text
  throw new Error(`${call.path} answered ${response.status}: ${text.slice(0, 500)}`)
}

/** The result of a tools/call, out of JSON or the last event of a stream. */
export async function askTool(origin: string, call: Call, item: Item = {}): Promise<Answer> {
  const text = await askText(origin, call, item)
  const data = [...text.matchAll(/^data: ?(\{.*)$/gm)].at(-1)?.[1] ?? text
  return JSON.parse(data).result
}
