/**
 * The stand-in for Claude in a process of its own, and what it was asked, counted by the marker in
 * each call's last text. Ends when the process that started it does.
 */

import { startClaudeStandIn } from '../support/claude-stand-in/server.ts'
import { MARKER } from './marker.ts'
import type { ClaudeAnswer, ClaudeOrder, Tally } from './upstream.ts'

const CHUNK = { chunkDelayMs: 60, chunkSize: 16 }

const standIn = await startClaudeStandIn(CHUNK)
const tallies = new Map<string, Tally>()
const counted = new WeakSet<object>()

/** The journal keeps the newest only, so it is read out while it is being written. */
function count(): void {
  for (const entry of standIn.messageRequests()) {
    if (counted.has(entry) || entry.status === undefined) continue
    counted.add(entry)
    const marker = markerOf(entry.json)
    if (marker === undefined) continue
    const tally = tallies.get(marker) ?? { begun: 0, refused: 0 }
    if (entry.status === 200) tally.begun += 1
    else tally.refused += 1
    tallies.set(marker, tally)
  }
}

function markerOf(json: unknown): string | undefined {
  const { messages = [] } = (json ?? {}) as { messages?: { content: unknown }[] }
  return MARKER.exec(JSON.stringify(messages.at(-1)?.content))?.[0]
}

const say = (answer: ClaudeAnswer) => process.send?.(answer)

process.on('message', (order: ClaudeOrder) => {
  if (order.kind === 'script') standIn.script(...order.faults)
  count()
  if (order.kind === 'report') say({ kind: 'report', tallies: [...tallies] })
})
process.on('disconnect', () => process.exit())
setInterval(count, 200)
say({ kind: 'ready', url: standIn.url })
