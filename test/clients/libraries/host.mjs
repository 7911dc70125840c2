/**
 * Runs a library in a process of its own: `node host.mjs LIBRARY MCP_URL`, in a folder where the
 * library is installed. Says `authorize URL`, reads the address its person was sent back to, says
 * `ready TOOLS`, then answers each line `{"id", "tool", "args"}` with `told {"id", "text"}`.
 */

import { createInterface } from 'node:readline'
import { newProvider } from './provider.mjs'

const [, , library, mcpUrl] = process.argv
const { open, finish } = await import(`./${library}.mjs`)

const say = (word, what) => process.stdout.write(`${word} ${what}\n`)
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
const provider = newProvider((url) => say('authorize', url))

const refused = await open(mcpUrl, provider).then(
  () => false,
  (error) => say('refused', String(error).split('\n')[0]) ?? true,
)
if (!refused) throw new Error('connected without a token')
const { value: callback } = await lines.next()
await finish(mcpUrl, provider, new URL(callback))
const { tools, call } = await open(mcpUrl, provider)
say('ready', tools)

for await (const line of lines) {
  const { id, tool, args } = JSON.parse(line)
  call(`claude-api-gateway_${tool}`, args)
    .catch((error) => `threw ${error}`)
    .then((text) => say('told', JSON.stringify({ id, text })))
}
