/** Libraries that speak the Messages API: the deeds of each, in a process of its own. */

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Trial } from './run.ts'
import { ASK } from './site.ts'

const run = promisify(execFile)
const LIBRARIES = fileURLToPath(new URL('libraries', import.meta.url))
const TIMEOUT_MS = 60_000

const TOOL = {
  name: 'weather',
  description: 'The weather of a city.',
  schema: {
    type: 'object',
    properties: { city: { type: 'string' } },
    required: ['city'],
    additionalProperties: false,
  },
}

type Said = { value?: unknown; error?: string }

/** @param more for the library, besides the address and the token. */
export const library =
  (name: string, more: Record<string, unknown> = {}) =>
  async ({ folder, site, report }: Trial): Promise<void> => {
    await cp(LIBRARIES, folder, { recursive: true })
    const user = await site.newUser()
    const deed = async (what: string, ...args: unknown[]): Promise<Said> => {
      const options = JSON.stringify({
        client: { url: site.url, token: user.token, ...more },
        args,
      })
      const { stdout } = await run(
        process.execPath,
        [join(folder, 'host.mjs'), name, what, options],
        {
          cwd: folder,
          timeout: TIMEOUT_MS,
        },
      )
      return JSON.parse(stdout.trim().split('\n').at(-1) as string)
    }
    await report('an answer in one piece', async () => {
      assert.deepEqual(await deed('whole', 'hello'), { value: 'hello' })
    })
    await report('a streamed answer', async () => {
      const text = 'hello over many chunks of a stream'
      assert.deepEqual(await deed('streamed', text), { value: text })
    })
    await report('a call of a tool', async () => {
      assert.deepEqual(await deed('tool', ASK.tool, TOOL), { value: { city: 'Oslo' } })
    })
    await report('three lines in the ledger, none of them estimated', async () => {
      const lines = await site.ledgerOf(user)
      assert.deepEqual(
        lines.map(({ source, estimated }) => [source, estimated]),
        [...Array(3).fill(['messages', null])],
      )
    })
    await report('a spent budget: asked once, and told why', async () => {
      await site.spend(user)
      const since = site.mark()
      const { error } = await deed('whole', 'hello')
      assert.match(error ?? '', /budget/i)
      assert.deepEqual(site.asked(since), { 402: 1 })
    })
  }
