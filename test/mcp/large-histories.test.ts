/** One user's large histories are that user's affair: the process stays small, and serves others. */

import { randomBytes } from 'node:crypto'
import { setImmediate as nextRound } from 'node:timers/promises'
import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { HeavyReads } from '../../src/concurrency/heavy-reads.ts'
import { newId } from '../../src/crypto/random.ts'
import { HistoryReading } from '../../src/services/conversations/history/history-reading.ts'
import { startClaudeStandIn } from '../support/claude-stand-in/server.ts'
import { connectClient, openUrlOf } from '../support/clients.ts'
import {
  describeDatabases,
  type FreshDatabase,
  freshDatabaseOptions,
} from '../support/databases.ts'
import { startGatewayProcess } from '../support/gateway-process.ts'
import { keepConversation } from '../support/kept-conversation.ts'
import { startApp, type TestApp, type TestUser } from '../support/start-app.ts'
import { vaultOf } from './vault-of.ts'

const MB = 1024 * 1024
/** Of a busy machine. */
const PATIENT = { timeout: 240_000 }
const ENCRYPTION_KEY = randomBytes(32).toString('base64')

describeDatabases('a user with large histories', (kind) => {
  let database: FreshDatabase
  let app: TestApp
  let user: TestUser
  beforeAll(async () => {
    database = await freshDatabaseOptions(kind)
    app = await startApp({ kind, database, env: { ENCRYPTION_KEY } })
    user = await app.register()
  })
  afterAll(() => database.drop())

  test('of 40,000 messages leaves the process to others while it is read', async () => {
    const messages = 40_000
    const conversation = await keepShortMessages(messages)
    const reading = new HistoryReading({
      repositories: app.app.repositories,
      heavyReads: new HeavyReads(),
    })
    let rounds = 0
    let isReading = true
    const others = (async () => {
      for (; isReading; rounds++) await nextRound()
    })()
    const limits = { maxMessages: 100_000, maxTokens: 1e9 }
    const read = reading.read(user.userId, conversation, limits)
    const { history, omitted } = await read.finally(() => {
      isReading = false
    })
    await others
    expect([history.messages, omitted]).toEqual([messages, 0])
    // Of 512 messages at most, a few milliseconds each.
    expect(rounds).toBeGreaterThan(messages / 512)
  })

  test('of 12 messages of 4 MB is read and sent by many at once in 256 MB of heap', async () => {
    const texts = Array(12).fill('x'.repeat(4 * MB - 1000))
    const conversation_id = await keepConversation(app, user.userId, texts, 'So.')
    await app.close()
    const claude = await startClaudeStandIn()
    const gateway = await startGatewayProcess({
      NODE_OPTIONS: '--max-old-space-size=256',
      ENCRYPTION_KEY,
      DATA_DIR: database.dataDir,
      ...(database.url === undefined ? {} : { DATABASE_URL: database.url }),
      ANTHROPIC_BASE_URL: claude.url,
      REQUESTS_PER_MINUTE: '1000',
    })
    const url = `${gateway.url}/mcp`
    const anybody = await connectClient('modern', openUrlOf(url))
    const signedIn = await anybody.call('authenticate_user', {
      username: user.username,
      password: user.password,
    })
    const client = await connectClient('modern', url, signedIn.structured.data.access_token)
    const history = (args: object) =>
      client.call('get_conversation_history', { conversation_id, ...args }, PATIENT)
    claude.script(...Array(10).fill({ kind: 'status', status: 429, retryAfter: 60 }))
    const calls = [
      ...Array.from({ length: 25 }, () =>
        client.call('send_message', { message: 'And now?', conversation_id }, PATIENT),
      ),
      ...Array.from({ length: 6 }, () => history({})),
      ...Array.from({ length: 6 }, () => history({ limit: 1000 })),
      client.call('export_my_data', {}, PATIENT),
      client.call('get_usage', { group_by: 'conversation' }, PATIENT),
    ]
    let served = 0
    let isOver = false
    const others = (async () => {
      for (; !isOver; served++) await anybody.call('health_check', {}, PATIENT)
    })()
    const answers = await Promise.all(calls).finally(() => {
      isOver = true
    })
    await others
    const codes = answers.map(({ structured }) => structured.error?.code ?? 'ok')
    for (const code of codes) {
      expect(code).toMatch(/^(ok|conversation_busy|rate_limited|overloaded)$/)
    }
    expect(codes.slice(25, 31)).toEqual(Array(6).fill('ok'))
    expect(served).toBeGreaterThan(1)
    for (const one of [anybody, client]) await one.close()
    expect(await gateway.stop()).toBe(0)
    await claude.close()
  }, 300_000)

  /** A conversation of short messages, as a send finds it. */
  async function keepShortMessages(count: number) {
    const { db } = app.app
    const vaults = await vaultOf(app)
    const id = newId()
    const { wrapped: dataKey, vault } = vaults.createConversationKey(id, user.userId)
    const title = vault.sealTitle('many')
    const row = { id, userId: user.userId, dataKey, title, model: 'm', messageCount: count }
    await db.insertInto('conversations').values(row).execute()
    // A thousand rows of one user in one statement would each write that user's sum.
    await sql`alter table messages disable trigger messages_added`.execute(db)
    for (let first = 1; first <= count; first += 1000) {
      const values = Array.from({ length: 1000 }, (_, index) => {
        const [position, messageId] = [first + index, newId()]
        return {
          id: messageId,
          conversationId: id,
          userId: user.userId,
          position,
          role: position % 2 === 1 ? ('user' as const) : ('assistant' as const),
          status: 'complete' as const,
          model: 'm',
          content: vault.sealContent(messageId, [{ type: 'text', text: `message ${position}` }]),
        }
      })
      await db.insertInto('messages').values(values).execute()
    }
    await sql`alter table messages enable trigger messages_added`.execute(db)
    const reach = { userId: user.userId, sessionId: newId(), readsAll: true }
    const context = await app.app.repositories.turnContexts.find(reach, id)
    const conversation = context?.conversation
    if (conversation === undefined) throw new Error('it was just made')
    return { ...conversation, id, vault }
  }
})
