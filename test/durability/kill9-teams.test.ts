/**
 * kill -9 while a team pays for answers of conversations and for calls of the Messages API: whoever
 * closes them books each on the pool and on its sender's part, once, and nothing stays reserved.
 */

import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { sql } from 'kysely'
import { expect, test } from 'vitest'
import { messagesBody } from '../support/api-exchange.ts'
import { startClaudeStandIn } from '../support/claude-stand-in/server.ts'
import { connectClient } from '../support/clients.ts'
import { type FreshDatabase, freshDatabaseOptions, hasPostgresql } from '../support/databases.ts'
import { type GatewayProcess, startGatewayProcess } from '../support/gateway-process.ts'
import { browserSession } from '../support/signed-up.ts'
import { startApp, type TestApp, type TestUser } from '../support/start-app.ts'
import { limitTeam, newTeam, type TestTeam } from '../support/teams.ts'

const ENCRYPTION_KEY = randomBytes(32).toString('base64')
const MEMBERS = 4
const LONG = { timeout: 180_000 }
const SLOW = { chunkDelayMs: 40, chunkSize: 4 }
/** About twenty seconds at that pace. */
const LONG_TEXT = 'word '.repeat(400)

type Crew = { users: TestUser[]; tokens: string[]; team: TestTeam }

async function makeCrew(app: TestApp): Promise<Crew> {
  const users: TestUser[] = []
  for (let i = 0; i < MEMBERS; i++) users.push(await app.register())
  const team = await newTeam(app, users)
  await limitTeam(app, team, { pool: 1_000_000, member: 200_000 })
  const tokens = await Promise.all(
    users.map(async ({ userId }) => {
      const made = await app.app.services.personalTokens.create(await browserSession(app, userId), {
        name: 'an agent',
        scopes: ['messages:api'],
        expiresAt: new Date(Date.now() + 3_600_000),
        purses: [team.id],
      })
      return made.token
    }),
  )
  return { users, tokens, team }
}

const processOn = (app: TestApp, fresh: Partial<FreshDatabase>, claudeUrl: string) =>
  startGatewayProcess({
    ENCRYPTION_KEY,
    ANTHROPIC_BASE_URL: claudeUrl,
    PUBLIC_URL: app.config.http.publicUrl,
    DATABASE_POOL_SIZE: '5',
    ...(fresh.url === undefined
      ? { DATA_DIR: fresh.dataDir as string }
      : { DATABASE_URL: fresh.url }),
  })

/** Each member has an answer and a call running, and the process is killed. */
async function killWhileRunning(
  gateway: GatewayProcess,
  { users, tokens, team }: Crew,
  asked: () => number,
): Promise<void> {
  const before = asked()
  const answers = users.map(async ({ accessToken }) => {
    const client = await connectClient('legacy', `${gateway.url}/mcp`, accessToken)
    const args = { message: LONG_TEXT, pay_with: `team:${team.id}`, wait_seconds: 0 }
    const { structured } = await client.call('send_message', args)
    expect(structured.data).toMatchObject({ status: 'running', paid_by: { kind: 'team' } })
  })
  const fields = { stream: true, messages: [{ role: 'user', content: LONG_TEXT }] }
  const calls = tokens.map((token) =>
    fetch(`${gateway.url}/v1/messages`, {
      method: 'POST',
      headers: {
        'x-api-key': token,
        'content-type': 'application/json',
        'anthropic-version': '2023-06-01',
      },
      body: messagesBody(fields),
    })
      .then((response) => response.text())
      .catch(() => ''),
  )
  await Promise.all(answers)
  await expect.poll(() => asked() - before, { timeout: 30_000 }).toBe(2 * MEMBERS)
  gateway.process.kill('SIGKILL')
  await once(gateway.process, 'exit')
  await Promise.all(calls)
}

async function expectBooked(app: TestApp, { users, team }: Crew): Promise<void> {
  const { db } = app.app
  const rows = await db
    .selectFrom('ledger')
    .select(['userId', 'source', 'payer', 'teamId', 'keyLastFour', 'estimated'])
    .where('teamId', '=', team.id)
    .execute()
  expect(rows.map(({ userId, source }) => `${userId} ${source}`).sort()).toEqual(
    users.flatMap(({ userId }) => [`${userId} mcp`, `${userId} messages`]).sort(),
  )
  const keyLastFour = team.apiKey.slice(-4)
  for (const row of rows) {
    expect(row).toMatchObject({ payer: 'team', keyLastFour, estimated: 'process_died' })
  }
  for (const table of ['team_spending', 'member_spending']) {
    const { rows: sums } = await sql<{ reserved: number; spent: number }>`
      select sum(reserved_tokens)::int as reserved, sum(spent_tokens)::int as spent
      from ${sql.table(table)} where team_id = ${team.id} and period = 'day'`.execute(db)
    expect(sums[0]?.reserved, table).toBe(0)
    expect(sums[0]?.spent, table).toBeGreaterThan(0)
  }
  expect(await app.app.repositories.ledgerAudit.listDrift()).toEqual([])
}

test('on the embedded database, at the next start', LONG, async () => {
  const fresh = await freshDatabaseOptions('embedded')
  const claude = await startClaudeStandIn(SLOW)
  const env = { ENCRYPTION_KEY, ANTHROPIC_BASE_URL: claude.url }
  const start = () => startApp({ kind: 'embedded', database: fresh, env })
  try {
    const before = await start()
    const crew = await makeCrew(before)
    await before.close()
    const gateway = await processOn(before, fresh, claude.url)
    await killWhileRunning(gateway, crew, () => claude.messageRequests().length)
    const after = await start()
    await expectBooked(after, crew).finally(() => after.close())
  } finally {
    await claude.close()
    await fresh.drop()
  }
})

test.runIf(hasPostgresql)(
  'on PostgreSQL, by another process once the lease has run out',
  LONG,
  async () => {
    const survivor = await startApp({ kind: 'postgresql', env: { ENCRYPTION_KEY }, claude: SLOW })
    try {
      const crew = await makeCrew(survivor)
      const url = survivor.databaseUrl as string
      const gateway = await processOn(survivor, { url }, survivor.claude.url)
      await killWhileRunning(gateway, crew, () => survivor.claude.messageRequests().length)
      const running = async () => {
        const { rows } = await sql<{ count: number }>`
          select (select count(*) from messages where status = 'running')::int
            + (select count(*) from calls)::int as count`.execute(survivor.app.db)
        return rows[0]?.count
      }
      expect(await running()).toBe(3 * MEMBERS)
      await expect.poll(running, { timeout: 60_000, interval: 250 }).toBe(0)
      await expectBooked(survivor, crew)
      const [first] = crew.users as [TestUser]
      const client = await survivor.connect('modern', first.accessToken)
      const next = await client.call('send_message', {
        message: 'and on',
        pay_with: `team:${crew.team.id}`,
      })
      expect(next.structured.data).toMatchObject({ status: 'complete', paid_by: { kind: 'team' } })
    } finally {
      await survivor.close()
    }
  },
)
