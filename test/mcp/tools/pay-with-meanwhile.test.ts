/** Days and months that turn, and keys that go, between what a team's reservation holds and its end. */

import { sql } from 'kysely'
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { describeDatabases } from '../../support/databases.ts'
import { startApp, type TestApp, type TestClient, type TestUser } from '../../support/start-app.ts'
import { callerOf, limitTeam, newTeam, type TestTeam } from '../../support/teams.ts'

/** The last seconds of a month, and the first ones of the next. */
const now = new Date()
const turn = Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + 1)
const [BEFORE, AFTER] = [new Date(turn - 5000), new Date(turn + 5000)]
const dayOf = (at: Date) => at.toISOString().slice(0, 10)
const monthOf = (at: Date) => `${at.toISOString().slice(0, 7)}-01`

describeDatabases('while an answer runs that a team pays for', (kind) => {
  let app: TestApp
  let ada: TestUser
  let bob: TestUser
  let bobs: TestClient

  beforeAll(async () => {
    vi.useFakeTimers({ toFake: ['Date'], now: BEFORE })
    app = await startApp({ kind })
    ;[ada, bob] = [await app.register(), await app.register()]
    bobs = await app.connect('modern', bob.accessToken)
  })
  afterEach(() => vi.setSystemTime(BEFORE))
  afterAll(async () => {
    vi.useRealTimers()
    await app.close()
  })

  const booksOf = async ({ id }: TestTeam, table = 'team_spending') => {
    const { rows } = await sql<{ book: string; spent: number; reserved: number }>`
      select period || ' ' || starts_on as book, spent_tokens::int as spent,
        reserved_tokens::int as reserved
      from ${sql.table(table)} where team_id = ${id} order by 1`.execute(app.app.db)
    return rows
  }
  const send = (team: TestTeam, message: string, more: Record<string, unknown> = {}) =>
    bobs.call('send_message', { message, pay_with: `team:${team.id}`, ...more })
  const drift = () => app.app.repositories.ledgerAudit.listDrift()
  const tokensOf = ({ usage }: { usage: { input_tokens: number; output_tokens: number } }) =>
    usage.input_tokens + usage.output_tokens

  /** Begins an answer, which takes so long unless it is stopped. @returns what ends it. */
  const begin = async (team: TestTeam, delayMs = 60_000) => {
    const asked = app.claude.messageRequests().length
    app.claude.script({ kind: 'delay', delayMs })
    const sent = await send(team, 'a long answer', { wait_seconds: 0 })
    await expect.poll(() => app.claude.messageRequests().length).toBe(asked + 1)
    const { message_id } = sent.structured.data
    const get = async (tool: string, args = {}) =>
      (await bobs.call(tool, { message_id, ...args })).structured.data
    return {
      look: () => get('get_message'),
      stop: () => get('cancel_message'),
      end: () => get('get_message', { wait_seconds: 30 }),
    }
  }

  test('and midnight comes, it is booked on the day and month that held it', async () => {
    const team = await newTeam(app, [ada, bob])
    const first = await begin(team)
    const [held] = await booksOf(team)
    // Of the old month there is room for no other; of the new one there is for one.
    await limitTeam(app, team, { pool: Math.ceil((held?.reserved ?? 0) * 1.2), period: 'month' })
    vi.setSystemTime(AFTER)
    const second = (await send(team, 'in the new month')).structured.data
    expect(second.status).toBe('complete')
    expect((await first.look()).status).toBe('running')
    await first.stop()
    expect((await first.end()).status).toBe('cancelled')
    const spent = expect.toSatisfy((tokens: number) => tokens > 0)
    const books = [
      { book: `day ${dayOf(BEFORE)}`, spent, reserved: 0 },
      { book: `day ${dayOf(AFTER)}`, spent: tokensOf(second), reserved: 0 },
      { book: `month ${monthOf(BEFORE)}`, spent, reserved: 0 },
      { book: `month ${monthOf(AFTER)}`, spent: tokensOf(second), reserved: 0 },
    ]
    expect(await booksOf(team)).toEqual(books)
    expect(await booksOf(team, 'member_spending')).toEqual(books)
    expect(await drift()).toEqual([])
  })

  test.each(['replaced', 'removed', 'archived with its team', 'without its limits'])(
    'and its key is %s, it settles on the books and the key that held it',
    async (how) => {
      const team = await newTeam(app, [ada, bob])
      await limitTeam(app, team, { pool: 1_000_000, member: 1_000_000 })
      const isStopped = how.startsWith('archived')
      const { end } = await begin(team, isStopped ? 60_000 : 1500)
      const { services, db } = app.app
      const owner = await callerOf(app, ada)
      if (how === 'replaced') await services.teamKeys.replace(owner, team.id, 'sk-ant-api03-next')
      else if (how === 'removed') await services.teamKeys.remove(owner, team.id)
      else if (how === 'without its limits') {
        await db.deleteFrom('teamBudgets').where('teamId', '=', team.id).execute()
        await db.deleteFrom('memberCaps').where('teamId', '=', team.id).execute()
      } else await services.teams.archive(owner, team.id)
      const { status, paid_by } = await end()
      expect(status).toBe(isStopped ? 'cancelled' : 'complete')
      expect(paid_by).toEqual({
        kind: 'team',
        team: team.name,
        key_last_four: team.apiKey.slice(-4),
      })
      for (const { reserved, spent } of await booksOf(team)) {
        expect(reserved).toBe(0)
        expect(spent).toBeGreaterThan(0)
      }
      const line = await db
        .selectFrom('ledger')
        .select(['keyLastFour', 'userId'])
        .where('teamId', '=', team.id)
        .executeTakeFirstOrThrow()
      expect(line).toEqual({ keyLastFour: team.apiKey.slice(-4), userId: bob.userId })
      expect(await drift()).toEqual([])
    },
  )
})
