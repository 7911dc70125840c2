/**
 * Two replicas, one conversation after the other, and changes by anybody between the messages: what
 * a replica remembers may be stale, but no message is ever sent with it.
 */

import { randomBytes, randomUUID } from 'node:crypto'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { hasPostgresql } from '../../support/databases.ts'
import { type ReplicaStep, replicaSteps } from '../../support/replica-steps.ts'
import { connectClient, startApp, type TestApp, type TestUser } from '../../support/start-app.ts'

const STEPS = 40
/** More messages than all steps send, so that every message goes with all before it. */
const MAX_CONVERSATION_LENGTH = '1000'
const ENCRYPTION_KEY = randomBytes(32).toString('base64')

type Conversation = { id: string; said: string[]; system: string | undefined; isShared: boolean }
/** Of one user, as they should be. */
type Sender = { user: TestUser; key: string; token: string; oldTokens: string[] }

const KINDS = [
  ...Array<'send'>(6).fill('send'),
  'send to a new one',
  'system prompt',
  'title',
  'delete',
  'key',
  'no key',
  'no budget',
  'new token',
  'old token',
  'share',
  'end the share',
  ...Array<'give away and back'>(2).fill('give away and back'),
  ...Array<'contribute'>(2).fill('contribute'),
] as const
type Kind = (typeof KINDS)[number]
type Step = ReplicaStep<Kind>

describe.runIf(hasPostgresql)('what replicas remember', () => {
  let apps: [TestApp, TestApp]
  const begun: number[] = []

  beforeAll(async () => {
    const first = await startApp({
      kind: 'postgresql',
      env: { ENCRYPTION_KEY, MAX_CONVERSATION_LENGTH },
    })
    const database = { url: first.databaseUrl, dataDir: first.dataDir } as {
      url: string
      dataDir: string
    }
    const second = await startApp({
      kind: 'postgresql',
      database,
      env: { ENCRYPTION_KEY, MAX_CONVERSATION_LENGTH },
    })
    apps = [first, second]
    for (const [index, { app }] of apps.entries()) {
      begun[index] = 0
      const { turnBeginnings } = app.repositories
      const begin = turnBeginnings.beginRemembered.bind(turnBeginnings)
      turnBeginnings.beginRemembered = async (turn) => {
        const outcome = await begin(turn)
        if (typeof outcome !== 'string') begun[index] = (begun[index] ?? 0) + 1
        return outcome
      }
    }
  })
  afterAll(async () => {
    await apps[1].close()
    await apps[0].close()
  })

  const call = async (replica: 0 | 1, token: string, tool: string, args: object = {}) => {
    const client = await connectClient('legacy', apps[replica].mcpUrl, token)
    const answer = await client.call(tool, { ...args }).finally(() => client.close())
    return answer
  }
  const done = async (...asked: Parameters<typeof call>) => {
    const answer = await call(...asked)
    expect(answer.isError, `${asked[2]}: ${answer.text}`).toBe(false)
    return answer.structured.data
  }

  class World {
    readonly ada: Sender
    readonly bob: Sender
    conversations: Conversation[] = []
    #words = 0

    constructor(ada: TestUser, bob: TestUser) {
      const sender = (user: TestUser): Sender => ({
        user,
        key: user.apiKey,
        token: user.accessToken,
        oldTokens: [],
      })
      this.ada = sender(ada)
      this.bob = sender(bob)
    }

    pick(which: number) {
      return this.conversations[which % this.conversations.length]
    }

    word = () => `word ${++this.#words} of ${this.ada.user.username}`
  }

  /** What Claude is asked has to be what was said, and nothing else. */
  async function send(world: World, replica: 0 | 1, by: Sender, to: Conversation | undefined) {
    const { claude } = apps[replica]
    const message = world.word()
    const data = await done(replica, by.token, 'send_message', {
      message,
      ...(to && { conversation_id: to.id }),
    })
    const conversation: Conversation = to ?? {
      id: data.conversation_id,
      said: [],
      system: undefined,
      isShared: false,
    }
    if (!to) world.conversations.push(conversation)
    const asked = claude.messageRequests().at(-1)
    if (!asked) throw new Error('Claude was not asked')
    const { messages, system } = asked.json as { messages: Said[]; system?: unknown }
    conversation.said.push(message)
    expect(messages.map(textOf)).toEqual(conversation.said)
    expect(system === undefined ? undefined : textOf({ content: system })).toBe(conversation.system)
    expect(asked.key).toBe(by.key)
    expect(data.content).toBe(message)
    conversation.said.push(data.content)
  }

  async function giveAway(replica: 0 | 1, conversationId: string, from: Sender, to: Sender) {
    const { db, services } = apps[replica].app
    const { id } = await db
      .selectFrom('conversationGrants')
      .select('id')
      .where('conversationId', '=', conversationId)
      .where('userId', '=', to.user.userId)
      .executeTakeFirstOrThrow()
    await services.transfers.transfer(await services.sessions.resolve(from.token), id)
  }

  const STEPS_OF: Record<Kind, (world: World, step: Step) => Promise<void>> = {
    /** Twice, the second time with what the first has left in memory. */
    async send(world, { which, replica }) {
      const to = world.pick(which)
      for (let times = 0; times < 2; times++) await send(world, replica, world.ada, to)
    },
    'send to a new one': (world, { replica }) => send(world, replica, world.ada, undefined),
    async 'system prompt'(world, { which, replica }) {
      const conversation = world.pick(which)
      if (!conversation) return
      conversation.system = which % 3 === 0 ? undefined : `Be ${which}.`
      const system_prompt = conversation.system ?? ''
      const change = { conversation_id: conversation.id, system_prompt }
      await done(replica, world.ada.token, 'update_conversation', change)
    },
    async title(world, { which, replica }) {
      const conversation_id = world.pick(which)?.id
      if (!conversation_id) return
      const change = { conversation_id, title: `Title ${which}` }
      await done(replica, world.ada.token, 'update_conversation', change)
    },
    async delete(world, { which, replica }) {
      const conversation = world.pick(which)
      if (!conversation) return
      world.conversations = world.conversations.filter((other) => other !== conversation)
      const conversation_id = conversation.id
      await done(replica, world.ada.token, 'delete_conversation', { conversation_id })
      for (const other of [0, 1] as const) {
        const sent = { message: world.word(), conversation_id }
        const answer = await call(other, world.ada.token, 'send_message', sent)
        expect(answer.structured.error?.code).toBe('not_found')
      }
    },
    async key({ ada }, { which, replica }) {
      ada.key = `sk-ant-api03-${String(which).padStart(24, '0')}`
      const key = { anthropic_api_key: ada.key, access_token: ada.token }
      const client = await connectClient('legacy', apps[replica].url)
      const answer = await client.call('update_api_key', key).finally(() => client.close())
      expect(answer.isError, answer.text).toBe(false)
    },
    async 'no key'(world, { which, replica }) {
      const { userId } = world.ada.user
      const { db } = apps[0].app
      const row = await db
        .deleteFrom('apiKeys')
        .where('userId', '=', userId)
        .returningAll()
        .executeTakeFirstOrThrow()
      const sent = { message: world.word(), conversation_id: world.pick(which)?.id }
      const answer = await call(replica, world.ada.token, 'send_message', sent)
      expect(answer.structured.error?.code).toBe('api_key_missing')
      await db.insertInto('apiKeys').values(row).execute()
    },
    async 'no budget'(world, { which, replica }) {
      const { budgetSettings } = apps[0].app.services
      const { username } = world.ada.user
      await budgetSettings.setForUser(username, 'month', { nanoUsd: 1n, tokens: null })
      const sent = { message: world.word(), conversation_id: world.pick(which)?.id }
      const answer = await call(replica, world.ada.token, 'send_message', sent)
      expect(answer.structured.error?.code).toBe('budget_exceeded')
      await budgetSettings.setForUser(username, 'month', null)
    },
    async 'new token'({ ada }, { replica }) {
      const client = await connectClient('legacy', apps[replica].url)
      const { username, password } = ada.user
      const signedIn = await client.call('authenticate_user', { username, password })
      await client.close()
      expect(signedIn.isError, signedIn.text).toBe(false)
      await done(replica, ada.token, 'revoke_token')
      ada.oldTokens.push(ada.token)
      ada.token = signedIn.structured.data.access_token
    },
    async 'old token'(world, { which, replica }) {
      const token = world.ada.oldTokens.at(-1)
      if (!token) return
      const { status } = await fetch(apps[replica].mcpUrl, {
        method: 'POST',
        headers: {
          authorization: `Bearer ${token}`,
          'content-type': 'application/json',
          accept: 'application/json, text/event-stream',
        },
        body: JSON.stringify({
          jsonrpc: '2.0',
          id: 1,
          method: 'tools/call',
          params: {
            name: 'claude-api-gateway_send_message',
            arguments: { message: world.word(), conversation_id: world.pick(which)?.id },
          },
        }),
      })
      expect(status).toBe(401)
    },
    async share(world, { which, replica }) {
      const conversation = world.pick(which)
      if (!conversation || conversation.isShared) return
      conversation.isShared = true
      const { db } = apps[replica].app
      await db
        .insertInto('conversationGrants')
        .values({
          id: randomUUID(),
          conversationId: conversation.id,
          userId: world.bob.user.userId,
          role: 'contributor',
          acceptedAt: new Date(),
          grantedBy: world.ada.user.userId,
        } as never)
        .execute()
    },
    async 'end the share'(world, { which, replica }) {
      const conversation = world.pick(which)
      if (!conversation?.isShared) return
      conversation.isShared = false
      const { db } = apps[replica].app
      await db
        .deleteFrom('conversationGrants')
        .where('conversationId', '=', conversation.id)
        .execute()
      const sent = { message: world.word(), conversation_id: conversation.id }
      const answer = await call(replica, world.bob.token, 'send_message', sent)
      expect(answer.structured.error?.code).toBe('not_found')
    },
    /** Each sends after each change, on both replicas: what they remember is of another owner. */
    async 'give away and back'(world, { which, replica }) {
      const conversation = world.pick(which)
      if (!conversation?.isShared) return
      const { ada, bob } = world
      for (const [from, to] of [
        [ada, bob],
        [bob, ada],
      ] as const) {
        await giveAway(replica, conversation.id, from, to)
        for (const other of [0, 1] as const) {
          for (const by of [ada, bob]) await send(world, other, by, conversation)
        }
      }
    },
    async contribute(world, { which, replica }) {
      const conversation = world.pick(which)
      if (conversation?.isShared) await send(world, replica, world.bob, conversation)
    },
  }

  test('is never what a message is sent with once it has changed', {
    timeout: 600_000,
  }, async () => {
    await fc.assert(
      fc.asyncProperty(replicaSteps(KINDS, STEPS), async (steps) => {
        const [ada, bob] = [await apps[0].register(), await apps[0].register()]
        const world = new World(ada, bob)
        for (const step of steps) await STEPS_OF[step.kind](world, step)
      }),
      { numRuns: 5, endOnFailure: true },
    )
    for (const count of begun) expect(count).toBeGreaterThan(0)
  })
})

type Said = { content: unknown }

const textOf = ({ content }: Said) =>
  typeof content === 'string'
    ? content
    : (content as { text: string }[]).map(({ text }) => text).join('')
