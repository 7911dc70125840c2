/**
 * What a stranger, a viewer and a contributor get of a conversation: from every tool that takes one
 * or a message of one, from resources, prompts and pages. The cases come from the catalogue.
 */

import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { catalogue } from '../../src/mcp/catalogue.ts'
import { prompts } from '../../src/mcp/prompts/index.ts'
import { resources, resourceTemplates } from '../../src/mcp/resources/index.ts'
import { PAGE_PATHS } from '../../src/web/index.ts'
import { openBrowser } from '../support/browser.ts'
import { describeDatabases } from '../support/databases.ts'
import {
  type Answer,
  type Era,
  eras,
  startApp,
  type TestApp,
  type TestClient,
  type TestUser,
} from '../support/start-app.ts'

/** An admin sees figures, and reads as little as any stranger. */
const READERS = ['stranger', 'admin', 'viewer', 'contributor'] as const
type Reader = (typeof READERS)[number]

/** Words that are in one place each. */
const CANARY = {
  title: 'canary-of-the-title',
  message: 'canary-of-the-message',
  answer: 'canary-of-the-answer',
  systemPrompt: 'canary-of-the-prompt',
  tag: 'canary-of-the-tag',
  stopSequence: 'canary-of-the-stop',
} as const
type Canary = keyof typeof CANARY

const MAY_SEE: Record<Reader, readonly Canary[]> = {
  stranger: [],
  // A label of the ledger, which figures are told apart by.
  admin: ['tag'],
  viewer: ['title', 'message', 'answer'],
  contributor: ['title', 'message', 'answer', 'systemPrompt'],
}

type Shared = { id: string; questionId: string; answerId: string; shareId: string }
type Use = {
  args: (shared: Shared) => Record<string, unknown>
  /** The error's code; undefined where it works. */
  ends: Record<Reader, string | undefined>
}

const OUTSIDE = { stranger: 'not_found', admin: 'not_found' } as const
const closed = { ...OUTSIDE, viewer: 'forbidden', contributor: 'forbidden' } as const
const open = { ...OUTSIDE, viewer: undefined, contributor: undefined } as const
const isOutside = (reader: Reader) => reader in OUTSIDE

/** Every use of another user's conversation, its messages and its shares that a tool offers. */
const USES: Record<string, Use> = {
  'send_message to it': {
    args: ({ id }) => ({ conversation_id: id, message: 'and I' }),
    ends: { ...open, viewer: 'forbidden' },
  },
  'send_message with a system prompt': {
    args: ({ id }) => ({ conversation_id: id, message: 'and I', system_prompt: 'obey' }),
    ends: closed,
  },
  'send_message in place of a message, in a branch': {
    args: ({ id, questionId }) => ({
      conversation_id: id,
      edit_message_id: questionId,
      message: 'or so',
    }),
    ends: open,
  },
  'get_message of its answer': { args: ({ answerId }) => ({ message_id: answerId }), ends: open },
  // It has ended, and so is only shown.
  'cancel_message of its answer': {
    args: ({ answerId }) => ({ message_id: answerId }),
    ends: open,
  },
  'get_conversation_history of it': { args: ({ id }) => ({ conversation_id: id }), ends: open },
  'export_conversation as a file': { args: ({ id }) => ({ conversation_id: id }), ends: open },
  'branch_conversation of all': { args: ({ id }) => ({ conversation_id: id }), ends: open },
  'update_conversation with a title': {
    args: ({ id }) => ({ conversation_id: id, title: 'taken over' }),
    ends: closed,
  },
  'update_conversation with a system prompt': {
    args: ({ id }) => ({ conversation_id: id, system_prompt: 'obey' }),
    ends: closed,
  },
  'update_conversation with a payer': {
    args: ({ id }) => ({ conversation_id: id, payer: 'sender' }),
    ends: closed,
  },
  'update_conversation in one’s own lists': {
    args: ({ id }) => ({ conversation_id: id, archived: false }),
    ends: open,
  },
  'update_conversation out of one’s own lists': {
    args: ({ id }) => ({ conversation_id: id, hidden: false }),
    ends: open,
  },
  'delete_conversation of it': { args: ({ id }) => ({ conversation_id: id }), ends: closed },
  'share_conversation with everybody': {
    args: ({ id }) => ({ conversation_id: id, with: 'everybody', role: 'viewer' }),
    ends: closed,
  },
  'get_shares of it': { args: ({ id }) => ({ conversation_id: id }), ends: open },
  'revoke_share of all': { args: ({ id }) => ({ conversation_id: id, all: true }), ends: closed },
  'revoke_share of the other reader': {
    args: ({ shareId }) => ({ share_id: shareId }),
    ends: { ...OUTSIDE, viewer: 'not_found', contributor: 'not_found' },
  },
}

const toolOf = (use: string) => use.split(' ')[0] as string

const LOOKS: Record<string, Record<string, unknown>> = {
  get_conversations: { filter: 'all' },
  search_conversations: { query: 'canary', limit: 100 },
  get_usage: { group_by: 'conversation' },
  get_budget: {},
  list_sessions: {},
  export_my_data: {},
  get_shares: {},
  get_teams: {},
}
/** They say nothing of any conversation. */
const NOT_ABOUT_CONVERSATIONS = new Set([
  ...['register_user', 'authenticate_user', 'health_check', 'change_password', 'revoke_token'],
  ...['rotate_token', 'update_api_key', 'set_budget', 'delete_my_account', 'manage_team'],
  'request_budget',
])

test('every tool, resource and prompt is looked at in this file', () => {
  const known = new Set([
    ...Object.keys(USES).map(toolOf),
    ...Object.keys(LOOKS),
    ...NOT_ABOUT_CONVERSATIONS,
  ])
  expect(catalogue.map(({ tool }) => tool.name).filter((name) => !known.has(name))).toEqual([])
  const naming = catalogue.flatMap(({ tool, inputSchema }) =>
    Object.keys(inputSchema.properties as object)
      .filter((name) => /^(conversation_id|.*message_id|share_id)$/.test(name))
      .map(() => tool.name),
  )
  for (const name of naming) expect(Object.keys(USES).map(toolOf)).toContain(name)
  expect(resourceTemplates.map(({ name }) => name)).toEqual(['conversation'])
  expect(prompts.length).toBeGreaterThan(2)
})

describeDatabases('another user’s conversation', (kind) => {
  let app: TestApp
  let ada: TestUser
  let adas: TestClient
  let other: TestUser
  const people = {} as Record<Reader, TestUser>
  const clients = {} as Record<Reader, Record<Era, TestClient>>

  beforeAll(async () => {
    app = await startApp({ kind, env: { ADMIN_USERNAMES: 'the-admin' } })
    ;[ada, other] = [await app.register(), await app.register()]
    for (const reader of READERS) {
      people[reader] = await app.register(reader === 'admin' ? 'the-admin' : undefined)
      const { accessToken } = people[reader]
      clients[reader] = {
        legacy: await app.connect('legacy', accessToken),
        modern: await app.connect('modern', accessToken),
      }
    }
  })
  beforeEach(async () => {
    adas = await app.connect('legacy', ada.accessToken)
    app.claude.reset()
    app.claude.setReply(() => CANARY.answer)
    await sql`delete from rate_limits`.execute(app.app.db)
  })
  afterAll(() => app.close())

  async function newShared(): Promise<Shared> {
    const sent = await adas.call('send_message', {
      message: CANARY.message,
      system_prompt: CANARY.systemPrompt,
      tag: CANARY.tag,
      stop_sequences: [CANARY.stopSequence],
    })
    const { conversation_id: id, message_id: answerId } = sent.structured.data
    await adas.call('update_conversation', { conversation_id: id, title: CANARY.title })
    const { structured } = await adas.call('get_conversation_history', { conversation_id: id })
    await give(id, people.viewer, 'viewer')
    await give(id, people.contributor, 'contributor')
    const shareId = await give(id, other, 'viewer')
    return { id, questionId: structured.messages[0].id, answerId, shareId }
  }

  async function give(id: string, user: TestUser, role: string): Promise<string> {
    const { structured } = await adas.call('share_conversation', {
      conversation_id: id,
      with: { username: user.username },
      role,
    })
    await app.app.repositories.grants.accept(structured.data.share_id, user.userId)
    return structured.data.share_id
  }

  const expectOnly = (reader: Reader, text: string) => {
    for (const [name, canary] of Object.entries(CANARY)) {
      if (!MAY_SEE[reader].includes(name as Canary)) expect(text, name).not.toContain(canary)
    }
  }
  const said = ({ text, structured }: Answer) => text + JSON.stringify(structured)
  const stateOf = async (id: string) =>
    said(await adas.call('get_conversation_history', { conversation_id: id })) +
    said(await adas.call('get_shares', { conversation_id: id }))

  describe.each(eras)('in the %s era', (era) => {
    describe.each(READERS)('for a %s', (reader) => {
      test.each(Object.entries(USES))('%s', async (use, { args, ends }) => {
        const shared = await newShared()
        const before = await stateOf(shared.id)
        const asked = app.claude.messageRequests().length
        const answer = await clients[reader][era].call(toolOf(use), args(shared))
        const code = ends[reader]
        expect(answer.structured?.error?.code).toBe(code)
        expectOnly(reader, said(answer))
        if (code === undefined) return
        expect(await stateOf(shared.id)).toBe(before)
        expect(app.claude.messageRequests()).toHaveLength(asked)
        if (code === 'not_found') {
          const nothing = { ...shared, id: randomUUID(), answerId: randomUUID() }
          const ofNothing = { ...nothing, shareId: randomUUID() }
          expect(await clients[reader][era].call(toolOf(use), args(ofNothing))).toEqual(answer)
        }
      })

      test.each(Object.entries(LOOKS))(
        '%s shows no more than the role may see',
        async (tool, args) => {
          const { id } = await newShared()
          const answer = await clients[reader][era].call(tool, args)
          expect(answer.isError, answer.text).toBe(false)
          expectOnly(reader, said(answer))
          // An admin sees what each conversation cost.
          if (isOutside(reader) && !(reader === 'admin' && tool === 'get_usage'))
            expect(said(answer)).not.toContain(id)
        },
      )

      test('resources and prompts', async () => {
        const { id } = await newShared()
        const { raw } = clients[reader][era]
        const uris = [
          ...resources.map(({ uri }) => uri),
          ...resourceTemplates.map(({ uriTemplate }) => uriTemplate.replace('{id}', id)),
        ]
        for (const uri of uris) {
          const read = await raw.readResource({ uri }).catch((error: Error) => error.message)
          expectOnly(reader, JSON.stringify(read))
        }
        for (const { name } of prompts) {
          const given = { name, arguments: { conversation: id } }
          const got = await raw.getPrompt(given).catch((error: Error) => error.message)
          expectOnly(reader, JSON.stringify(got))
        }
        const ref = { type: 'ref/resource', uri: resourceTemplates[0]?.uriTemplate }
        const typed = { ref, argument: { name: 'id', value: 'canary' } } as never
        const { values } = (await raw.complete(typed)).completion
        if (isOutside(reader)) expect(values).toEqual([])
        else expect(values).toContain(id)
      })
    })
  })

  test.each(READERS)('the pages show a %s no more than the role may see', async (reader) => {
    const { id } = await newShared()
    const { username, password } = people[reader]
    const browser = openBrowser(app.baseUrl, app.config.http.publicUrl)
    await browser.open('/sign-in')
    await browser.submit('/sign-in', { username, password })
    const own = ['', '/delete', '/export?format=markdown', '/export?format=json'].map(
      (part) => `/account/conversations/${id}${part}`,
    )
    const lists = ['?filter=all', '?filter=shared', '/search?query=canary'].map(
      (part) => `/account/conversations${part}`,
    )
    const paths = [...PAGE_PATHS, ...own, ...lists, `/account/shares?conversation=${id}`]
    for (const path of paths) {
      const { html, headers } = await browser.open(path)
      expectOnly(reader, html)
      expectOnly(reader, JSON.stringify([...headers]))
    }
    const page = await browser.open(`/account/conversations/${id}`)
    expect(page.status).toBe(isOutside(reader) ? 404 : 200)
    if (!isOutside(reader)) expect(page.html).toContain(CANARY.message)
  })

  test('an admin is shown figures of everybody, and no text or title', async () => {
    const { id } = await newShared()
    const admin = clients.admin.legacy
    const asked = { group_by: 'conversation' }
    const figures = [
      await admin.call('get_usage', asked),
      await admin.call('get_usage', { ...asked, group_by: 'tag' }),
      await admin.call('get_budget', { username: ada.username }),
    ]
    expect(said(figures[0] as Answer)).toContain(id)
    for (const answer of figures) expectOnly('admin', said(answer))
  })

  test('a viewer of a busy conversation, without a key or a budget, learns only their role', async () => {
    const { id } = await newShared()
    const viewer = clients.viewer.modern
    const refused = await viewer.call('send_message', { conversation_id: id, message: 'x' })
    app.claude.script({ kind: 'delay', delayMs: 1500 })
    const running = await adas.call('send_message', {
      conversation_id: id,
      message: 'slowly',
      wait_seconds: 0,
    })
    const again = await viewer.call('send_message', { conversation_id: id, message: 'x' })
    expect(again.structured).toEqual(refused.structured)
    const { message_id } = running.structured.data
    for (const reader of ['viewer', 'contributor'] as const) {
      const stopped = await clients[reader].modern.call('cancel_message', { message_id })
      expect(stopped.structured.error.code).toBe('forbidden')
    }
    await adas.call('cancel_message', { message_id })
  })

  test('nothing of it is in the log, the metrics or the audit log', async () => {
    await newShared()
    for (const reader of READERS) {
      const client = clients[reader].legacy
      await client.call('search_conversations', { query: `${CANARY.message} ${CANARY.title}` })
    }
    const metrics = await fetch(new URL('/metrics', app.baseUrl)).then((answer) => answer.text())
    const { rows } = await sql<{ all: string }>`
      select coalesce(json_agg(e)::text, '') as all from audit_events e`.execute(app.app.db)
    const told = [...app.logLines, metrics, rows[0]?.all ?? ''].join('\n')
    expect(told.length).toBeGreaterThan(1000)
    for (const canary of Object.values(CANARY)) expect(told).not.toContain(canary)
  })

  describe('another conversation’s message', () => {
    test('is none of the one that one may read', async () => {
      const [shared, secret] = [await newShared(), await newShared()]
      await sql`delete from conversation_grants where conversation_id = ${secret.id}::uuid`.execute(
        app.app.db,
      )
      for (const reader of ['viewer', 'contributor'] as const) {
        const client = clients[reader].modern
        for (const [tool, args] of [
          ['get_conversation_history', { before: secret.answerId }],
          ['get_conversation_history', { message_id: secret.questionId }],
          ['branch_conversation', { through_message_id: secret.answerId }],
          ['send_message', { edit_message_id: secret.questionId, message: 'x' }],
        ] as const) {
          const answer = await client.call(tool, { conversation_id: shared.id, ...args })
          expect(answer.structured.error.code, tool).toBe('not_found')
        }
      }
    })
  })
})
