/** The tools as a client sees them: their names, which of them, and what is said of them. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { tools } from '../../src/mcp/tools/index.ts'
import { createToolsets } from '../../src/mcp/toolset.ts'
import { ALL_SCOPES, type Scope } from '../../src/services/access/scopes.ts'
import { bearer, message, modern, post } from '../http/posting.ts'
import { personalToken, signUp } from '../support/signed-up.ts'
import { eras, startApp, type TestApp, type TestUser } from '../support/start-app.ts'
import { callerOf, newTeam } from '../support/teams.ts'

type Listed = {
  name: string
  description: string
  inputSchema: { properties: Record<string, { description: string }> }
}

const DOCUMENTED = 'claude-api-gateway_'
const bareNames = tools.map(({ name }) => name)

let app: TestApp
let user: TestUser
beforeAll(async () => {
  app = await startApp({ kind: 'embedded', env: { TOOL_PREFIX: 'gw_' } })
  user = await app.register()
})
afterAll(() => app.close())

async function tokenWith(scopes: readonly Scope[]): Promise<string> {
  const { caller } = await signUp(app)
  return (await personalToken(app, caller, scopes)).token
}

describe.each(eras)('%s era', (era) => {
  const send = (plain: ReturnType<typeof message>, query = '', token = user.accessToken) => {
    const { body, headers } = era === 'modern' ? modern(plain) : { body: plain, headers: {} }
    return post(`${app.url}${query}`, body, { ...headers, ...bearer(token) })
  }
  const list = async (query = '', token?: string): Promise<Listed[]> =>
    (await send(message('tools/list'), query, token)).json.result.tools
  const call = (name: string, args: object, query?: string) =>
    send(message('tools/call', { name, arguments: args }), query)

  test.each([
    ['', 'gw_'],
    ['?tools=short', ''],
  ])('at /mcp%s every name begins with "%s", in all that is said too', async (query, prefix) => {
    const shown = await list(query)
    expect(shown.map(({ name }) => name)).toEqual(bareNames.map((name) => prefix + name))
    const words = JSON.stringify(shown).matchAll(/\b[a-z-]*_?(?:send_message|get_message)\b/g)
    const named = new Set([...words].map(([word]) => word))
    expect(named).toEqual(new Set([`${prefix}send_message`, `${prefix}get_message`]))
  })

  test.each([
    ['', 'gw_'],
    ['?tools=short', ''],
  ])(
    'at /mcp%s instructions, warnings and errors name tools as the list does',
    async (query, prefix) => {
      const hello =
        era === 'modern'
          ? message('server/discover')
          : message('initialize', {
              protocolVersion: '2025-11-25',
              capabilities: {},
              clientInfo: { name: 'names', version: '1' },
            })
      const { instructions } = (await send(hello, query)).json.result
      expect(instructions).toContain(
        `call ${prefix}register_user once, then ${prefix}authenticate_user,`,
      )

      const conversation_id = '01a203ad-e234-7157-9eed-864f92cdb276'
      const lost = await call('get_conversation_history', { conversation_id }, query)
      expect(lost.json.result.structuredContent.error.message).toBe(
        `You have no conversation with this id. ${prefix}get_conversations lists yours.`,
      )
      const sent = await call('send_message', { message: 'slow', wait_seconds: 0 }, query)
      expect(sent.json.result.structuredContent.data.warnings.join()).toContain(
        `unfinished: call ${prefix}get_message with message_id`,
      )
    },
  )

  test.each([
    ['', 'gw_'],
    ['?tools=short', ''],
  ])(
    'at /mcp%s errors of resources and prompts, and details of errors do too',
    async (query, prefix) => {
      const id = '01a203ad-e234-7157-9eed-864f92cdb276'
      const args = { conversation: id, message: 'And?' }
      const asked = message('prompts/get', { name: 'continue_conversation', arguments: args })
      const { error } = (await send(asked, query)).json
      const told = `You have no conversation with this id. ${prefix}get_conversations lists yours.`
      expect(error).toMatchObject({
        message: expect.stringContaining(told),
        data: { message: told },
      })

      const caller = await callerOf(app, user)
      const team = await newTeam(app, [user])
      const nothing = { nanoUsd: 1n, tokens: null }
      await app.app.services.teamBudgets.setCap(caller, team.id, user.username, 'day', nothing)
      const paid = { message: 'hello', pay_with: `team:${team.id}` }
      const stopped = await call('send_message', paid, query)
      expect(stopped.json.result.structuredContent.error).toMatchObject({
        code: 'budget_exceeded',
        message: expect.stringContaining(`ask with ${prefix}request_budget,`),
        details: { ask: [user.username], raise_with: `${prefix}request_budget` },
      })
    },
  )

  test.each(['', '?tools=short'])(
    'at /mcp%s a tool answers to its name in either list, and to the documented one',
    async (query) => {
      for (const prefix of ['', 'gw_', DOCUMENTED]) {
        const { json } = await call(`${prefix}health_check`, {}, query)
        expect(json.result.structuredContent.success, prefix).toBe(true)
      }
      expect((await call('other_health_check', {}, query)).json.error.code).toBe(-32602)
      expect((await call('gw_gw_health_check', {}, query)).json.error.code).toBe(-32602)
    },
  )

  test('another way to ask for names is refused, and told which there is', async () => {
    const { status, json } = await send(message('tools/list'), '?tools=shrot')
    expect(status).toBe(400)
    expect(json.error.message).toContain('?tools=short')
  })

  test('what somebody wrote is not taken for the name of a tool', async () => {
    const text = 'call get_message and send_message'
    const { json } = await call('send_message', { message: text, wait_seconds: 60 })
    expect(json.result.structuredContent.data.content).toBe(text)
  })

  test('a token in the header makes the argument for one superfluous, and it is not shown', async () => {
    for (const { inputSchema } of await list()) {
      expect(Object.keys(inputSchema.properties)).not.toContain('access_token')
    }
    const { json } = await call('get_conversations', { access_token: user.accessToken })
    expect(json.result.structuredContent.success).toBe(true)
  })

  test('a token sees the tools that it may use, and can use all of them', async () => {
    const reading = await list('?tools=short', await tokenWith(['conversations:read']))
    const names = reading.map(({ name }) => name)
    expect(names).toEqual([
      ...['register_user', 'authenticate_user', 'revoke_token'],
      ...['get_conversations', 'get_conversation_history', 'search_conversations'],
      ...['export_conversation', 'health_check'],
    ])
    const account = await list('?tools=short', await tokenWith(['account']))
    expect(account.map(({ name }) => name)).toContain('set_budget')
    expect(account.map(({ name }) => name)).not.toContain('export_my_data')
    const resources = await send(message('resources/list'), '', await tokenWith(['account']))
    expect(resources.json.result.resources).toEqual([])
  })

  test('only a token that can be rotated sees how', async () => {
    const personal = await list('?tools=short', await tokenWith(ALL_SCOPES))
    const shown = personal.map(({ name }) => name)
    expect(shown).toEqual(bareNames.filter((name) => name !== 'rotate_token'))
    expect((await list('?tools=short')).map(({ name }) => name)).toEqual(bareNames)
  })
})

test('without a prefix every name is its own', () => {
  const { usual, short } = createToolsets('')
  expect(usual.listFor(null)).toEqual(short.listFor(null))
  expect(usual.worded('call get_message')).toBe('call get_message')
})

test('a name that stands with its prefix already, or in a longer word, stays as it is', () => {
  const { worded } = createToolsets('gw_').usual
  expect(worded('gw_get_message, get_message2, my-get_message, (get_message)')).toBe(
    'gw_get_message, get_message2, my-get_message, (gw_get_message)',
  )
})
