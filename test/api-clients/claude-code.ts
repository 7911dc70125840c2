/** Claude Code's own command line, through the gateway. */

import assert from 'node:assert/strict'
import { startProgram } from '../clients/program.ts'
import type { ApiUser } from '../support/api-user.ts'
import type { Trial } from './run.ts'
import { ASK, SAID_BY_AGENT } from './site.ts'

const TIMEOUT_MS = 120_000

export async function claudeCode({ folder, site, report }: Trial): Promise<void> {
  const user = await site.newUser()
  const ask = (prompt: string, { token }: ApiUser = user) => {
    const signal = AbortSignal.timeout(TIMEOUT_MS)
    const path = `${folder}/node_modules/.bin:${process.env.PATH}`
    const env = {
      HOME: folder,
      PATH: path,
      LANG: 'C.UTF-8',
      ANTHROPIC_BASE_URL: site.url,
      ANTHROPIC_AUTH_TOKEN: token,
      CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
    }
    const args = ['-p', prompt, '--allowedTools', 'Bash,Task,Agent']
    return startProgram('claude', args, { mayFail: true }, { cwd: folder, env, signal }).output()
  }
  const { claude } = site
  const booked = async () => {
    const lines = await site.ledgerOf(user)
    return lines.map(({ client, sessionLabel, agentId, estimated }) => ({
      client,
      hasSession: sessionLabel !== null,
      isOfAgent: agentId !== null,
      estimated,
    }))
  }
  const plain = { client: 'claude-cli', hasSession: true, isOfAgent: false, estimated: null }

  await report('an answer', async () => {
    assert.match(await ask('hello there'), /hello there/)
    assert.deepEqual((await booked())[0], plain)
  })
  await report('a tool, and its result', async () => {
    assert.match(await ask(ASK.tool), /The tool said: .*42/s)
  })
  await report('a sub-agent, whose calls are booked as its own', async () => {
    assert.match(await ask(ASK.agent), new RegExp(SAID_BY_AGENT))
    assert.ok((await booked()).some(({ isOfAgent }) => isOfAgent))
  })
  await report('/context counts tokens, which costs nothing', async () => {
    const before = (await booked()).length
    assert.match(await ask('/context'), /tokens/i)
    assert.equal((await booked()).length, before)
    assert.ok(claude.journal.some(({ path }) => path.startsWith('/v1/messages/count_tokens')))
  })
  await report('529 is tried again', async () => {
    claude.script({ kind: 'status', status: 529, type: 'overloaded_error' })
    const since = site.mark()
    assert.match(await ask('after the storm'), /after the storm/)
    assert.equal(site.asked(since)[529], 1)
  })
  await report('a stream that is cut is sent again, and both are booked', async () => {
    const before = (await booked()).length
    claude.script({ kind: 'stream_drop', afterChunks: 1 })
    assert.match(await ask('a text that is longer than one chunk'), /longer than one chunk/)
    const lines = (await booked()).slice(before)
    assert.ok(lines.some(({ estimated }) => estimated === 'stream_broken'))
    assert.ok(lines.some(({ estimated }) => estimated === null))
  })
  await report('a spent budget: asked once, and told why', async () => {
    const poor = await site.newUser()
    await site.spend(poor)
    const since = site.mark()
    assert.match(await ask('hello', poor), /budget/i)
    assert.deepEqual(site.asked(since), { 402: 1 })
  })
}
