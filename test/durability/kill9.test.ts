/**
 * kill -9 in the middle of many sends, then a start on the same data: what was acknowledged is
 * there and booked, nothing is half, nothing is stuck, and every conversation goes on.
 */

import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { sql } from 'kysely'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openDatabase } from '../../src/database/open.ts'
import { bearer, post, toolCall } from '../security/raw-mcp.ts'
import { type ClaudeStandIn, startClaudeStandIn } from '../support/claude-stand-in/server.ts'
import { runSql } from '../support/database-supplies.ts'
import { type FreshDatabase, freshDatabaseOptions, hasPostgresql } from '../support/databases.ts'
import { type GatewayProcess, startGatewayProcess } from '../support/gateway-process.ts'

const SENDS = 50
/** The process is killed as soon as so many of them were answered, and as many more run. */
const ACKNOWLEDGED_BEFORE_KILL = 15
const RUNNING_AT_KILL = 5
const CHUNK = 32

const SETTINGS = {
  ENCRYPTION_KEY: randomBytes(32).toString('base64'),
  LOG_LEVEL: 'info',
  REQUESTS_PER_MINUTE: '100000',
  MESSAGES_API_REQUESTS_PER_MINUTE: '100000',
  ANONYMOUS_REQUESTS_PER_MINUTE: '100000',
  DATABASE_POOL_SIZE: '5',
}

type Row = { id: string; role: string; status: string; content: string }
/** What a sender was told. */
type Receipt = { conversationId: string; messageId: string; text: string }

let claude: ClaudeStandIn
let fresh: FreshDatabase
let gateway: GatewayProcess | undefined
let token: string
let acknowledged: Receipt[]

beforeEach(async () => {
  claude = await startClaudeStandIn({ chunkSize: CHUNK, chunkDelayMs: 30 })
  acknowledged = []
  gateway = undefined
})

afterEach(async () => {
  await gateway?.stop()
  await fresh.drop()
  await claude.close()
})

async function start(): Promise<GatewayProcess> {
  const where = fresh.url === undefined ? {} : { DATABASE_URL: fresh.url }
  const places = { DATA_DIR: fresh.dataDir, ANTHROPIC_BASE_URL: claude.url, ...where }
  return startGatewayProcess({ ...SETTINGS, ...places })
}

async function call(tool: string, args: Record<string, unknown>, accessToken = token) {
  const headers: Record<string, string> = accessToken === '' ? {} : bearer(accessToken)
  const answer = await post(`${gateway?.url}/mcp/open`, toolCall('legacy', tool, args), headers)
  return answer.messages.at(-1)?.result.structuredContent
}

async function signIn(): Promise<string> {
  const account = { username: 'ada', email: 'ada@example.com', anthropic_api_key: 'sk-ant-api-x' }
  const { password } = (await call('register_user', account, '')).data
  const signedIn = await call('authenticate_user', { username: 'ada', password }, '')
  return signedIn.data.access_token
}

/** Answers take from no time at all to about two seconds; the echo says whose answer it is. */
function textOf(round: number, number: number): string {
  const mark = `round ${round} number ${number} `
  return mark.padEnd(CHUNK * (1 + Math.floor((number * 60) / SENDS)), '.')
}

/** Fifty sends at once, half of them into conversations there are; killed in the middle. */
async function killInTheMiddle(round: number, conversationIds: string[]): Promise<void> {
  const { process } = gateway as GatewayProcess
  const askedBefore = claude.messageRequests().length
  let answered = 0
  let ended = 0
  const sends = Array.from({ length: SENDS }, async (_, number) => {
    const message = textOf(round, number)
    const conversation_id = number % 2 === 0 ? conversationIds[number / 2] : undefined
    const result = await call('send_message', { message, conversation_id })
    ended += 1
    expect(result.data).toMatchObject({ status: 'complete', content: message })
    const { conversation_id: conversationId, message_id: messageId } = result.data
    acknowledged.push({ conversationId, messageId, text: message })
    answered += 1
    const asked = claude.messageRequests().length - askedBefore
    if (answered >= ACKNOWLEDGED_BEFORE_KILL && asked >= answered + RUNNING_AT_KILL) {
      process.kill('SIGKILL')
    }
  })
  const exit = once(process, 'exit')
  const outcomes = await Promise.allSettled(sends)
  await exit
  expect(answered).toBe(ended)
  expect(outcomes.filter(({ status }) => status === 'rejected').length).toBeGreaterThan(0)
}

async function allConversationIds(): Promise<string[]> {
  const { conversations } = await call('get_conversations', { limit: 200 })
  return conversations.map(({ id }: { id: string }) => id)
}

async function allHistories(): Promise<Map<string, Row[]>> {
  const histories = new Map<string, Row[]>()
  const reads = (await allConversationIds()).map(async (id) => {
    const { messages, total } = await call('get_conversation_history', { conversation_id: id })
    expect(messages).toHaveLength(total)
    histories.set(id, messages)
  })
  await Promise.all(reads)
  return histories
}

function expectWholeTurns(histories: Map<string, Row[]>): void {
  for (const messages of histories.values()) {
    expect(messages.length % 2).toBe(0)
    for (let i = 0; i < messages.length; i += 2) {
      const [question, answer] = messages.slice(i, i + 2) as [Row, Row]
      expect([question.role, answer.role]).toEqual(['user', 'assistant'])
      expect(answer.status).toBe(question.status)
      if (answer.status === 'complete') expect(answer.content).toBe(question.content)
      else expect(question.content.startsWith(answer.content), 'the text so far').toBe(true)
    }
  }
}

function expectAcknowledged(histories: Map<string, Row[]>): void {
  for (const { conversationId, messageId, text } of acknowledged) {
    const stored = histories.get(conversationId)?.find(({ id }) => id === messageId)
    expect(stored).toMatchObject({ status: 'complete', content: text })
  }
}

const statuses = (histories: Map<string, Row[]>) =>
  new Set([...histories.values()].flat().map(({ status }) => status))

/** Less than a user may have open. */
const SENDS_AT_ONCE = 32

async function goOnWith(conversationId: string): Promise<void> {
  const text = `go on with ${conversationId}`
  const { data } = await call('send_message', { message: text, conversation_id: conversationId })
  acknowledged.push({ conversationId, messageId: data.message_id, text })
}

/** One more send into each conversation; Claude sees the whole turns, in order, and nothing else. */
async function expectToGoOn(histories: Map<string, Row[]>): Promise<void> {
  claude.reset()
  const conversationIds = [...histories.keys()]
  for (let start = 0; start < conversationIds.length; start += SENDS_AT_ONCE) {
    await Promise.all(conversationIds.slice(start, start + SENDS_AT_ONCE).map(goOnWith))
  }
  const asked = claude.messageRequests()
  for (const [id, messages] of histories) {
    const message = `go on with ${id}`
    const whole = messages.filter(({ status }) => status === 'complete')
    const request = asked.find(({ body }) => body.includes(message))
    expect(spoken(request?.json)).toEqual([
      ...whole.map(({ role, content }) => ({ role, text: content })),
      { role: 'user', text: message },
    ])
  }
}

function spoken(request: unknown): { role: string; text: string }[] {
  const { messages } = request as { messages: { role: string; content: { text: string }[] }[] }
  return messages.map(({ role, content }) => ({
    role,
    text: content.map(({ text }) => text).join(''),
  }))
}

/** What only the database knows, once nobody has it open. */
async function expectSoundDatabase(): Promise<void> {
  const database = await openDatabase(fresh)
  try {
    const count = async (text: string) => {
      const { rows } = await sql.raw<{ count: string }>(text).execute(database.db)
      return Number(rows[0]?.count)
    }
    const ids = acknowledged.map(({ messageId }) => `'${messageId}'`).join(',')
    expect(await count(`select count(*) from ledger where message_id in (${ids})`)).toBe(
      acknowledged.length,
    )
    for (const wrong of SHOULD_BE_NONE) expect([wrong, await count(wrong)]).toEqual([wrong, 0])
  } finally {
    await database.close()
  }
}

const SHOULD_BE_NONE = [
  `select count(*) from messages where status = 'running' or replica_id is not null`,
  'select count(*) from conversations where running_message_id is not null',
  `select count(*) from conversations c where message_count <>
     (select count(*) from messages m where m.conversation_id = c.id)`,
  `select count(*) from (select conversation_id, (position + 1) / 2 as turn from messages
     group by 1, 2 having count(*) <> 2 or count(distinct status) <> 1) as half_turns`,
  `select count(*) from messages m where role = 'assistant' and status = 'complete'
     and not exists (select from ledger l where l.message_id = m.id)`,
  `select count(*) from ledger l where l.estimated is null and not exists
     (select from messages m where m.id = l.message_id and m.content is not null)`,
]

test('on the embedded database, twice in a row', { timeout: 180_000 }, async () => {
  fresh = await freshDatabaseOptions('embedded')
  gateway = await start()
  token = await signIn()
  for (const round of [1, 2]) {
    await killInTheMiddle(round, await allConversationIds())
    gateway = await start()
    const histories = await allHistories()
    expect(statuses(histories)).toEqual(new Set(['complete', 'interrupted']))
    expectWholeTurns(histories)
    expectAcknowledged(histories)
    if (round === 2) await expectToGoOn(histories)
  }
  expect(await gateway.stop()).toBe(0)
  gateway = undefined
  await expectSoundDatabase()
})

test.runIf(hasPostgresql)(
  'on PostgreSQL, where the lease of a dead process has to run out',
  { timeout: 180_000 },
  async () => {
    fresh = await freshDatabaseOptions('postgresql')
    const url = fresh.url as string
    gateway = await start()
    token = await signIn()
    await killInTheMiddle(1, [])
    const running = `from messages where status = 'running' and role = 'assistant'`
    const [killed] = await runSql(url, `select count(*)::int as count ${running}`)
    expect(killed?.count).toBeGreaterThan(0)

    gateway = await start()
    expect(statuses(await allHistories())).toEqual(new Set(['complete', 'running']))
    // As if ten seconds had gone by: nobody can tell a dead process from a slow one before that.
    await runSql(
      url,
      `update messages set lease_expires_at = lease_expires_at - interval '10 s'
      where status = 'running'`,
    )
    await expect
      .poll(async () => (await runSql(url, `select 1 ${running}`)).length, {
        timeout: 40_000,
        interval: 250,
      })
      .toBe(0)
    const histories = await allHistories()
    expect(statuses(histories)).toEqual(new Set(['complete', 'interrupted']))
    expectWholeTurns(histories)
    expectAcknowledged(histories)
    await expectToGoOn(histories)
    expect(await gateway.stop()).toBe(0)
    gateway = undefined
    await expectSoundDatabase()
  },
)
