/** Reads an import of about 240 MiB, and prints how much memory that took. */

import { conversationsIn } from '../../../../src/services/imports/read-file.ts'

const MIB = 1024 * 1024
const TOTAL_BYTES = 225 * MIB

const conversation = (id: number, textBytes: number) =>
  JSON.stringify({
    uuid: `c${id}`,
    chat_messages: [
      { sender: 'human', text: 'é'.repeat(textBytes / 4) },
      { sender: 'assistant', text: 'x'.repeat(textBytes / 2) },
    ],
  })

let bytes = 0
async function* file() {
  let separator = '['
  for (let id = 0; bytes < TOTAL_BYTES; id += 1) {
    // Now and then one that is as large as a conversation may be, which is refused by its message.
    const textBytes = id % 500 === 0 ? 30 * MIB : 64 * 1024
    const text = Buffer.from(separator + conversation(id, textBytes))
    bytes += text.length
    for (let at = 0; at < text.length; at += 64 * 1024) yield text.subarray(at, at + 64 * 1024)
    separator = ','
    if (id % 100 === 0) globalThis.gc?.()
  }
  yield Buffer.from(']')
}

let conversations = 0
const options = { maxMib: 256, withBranches: false, note: () => {}, leftOut: () => {} }
for await (const _ of conversationsIn(file(), options)) conversations += 1
const maxRssBytes = process.resourceUsage().maxRSS * 1024
process.stdout.write(JSON.stringify({ conversations, bytes, maxRssBytes }))
