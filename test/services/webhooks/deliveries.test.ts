/** What is queued for webhooks arrives, on time and signed, whatever becomes of single processes. */

import { randomBytes, randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import { beforeEach, expect, test } from 'vitest'
import { KeyRing } from '../../../src/crypto/sealed.ts'
import { newWebhookSecret } from '../../../src/crypto/webhook-signature.ts'
import { createLogger } from '../../../src/log.ts'
import { createRepositories, createTransact } from '../../../src/repositories/index.ts'
import { Vault } from '../../../src/services/keys/vault.ts'
import { EventQueue, MOST_QUEUED } from '../../../src/services/webhooks/event-queue.ts'
import {
  type Post,
  type PostOutcome,
  RETRY_AFTER_SECONDS,
  WebhookDeliveries,
} from '../../../src/services/webhooks/webhook-deliveries.ts'
import { describeDatabases } from '../../support/databases.ts'
import { ownDatabase } from '../../support/own-database.ts'
import { verifiedBody } from './verified-body.ts'

type Sent = { url: string; headers: Record<string, string>; body: string }

const NEVER = new AbortController().signal

describeDatabases('deliveries of webhooks', (kind) => {
  const database = ownDatabase(kind)
  const vault = new Vault(new KeyRing(randomBytes(32)))
  const log = createLogger('silent')
  let sent: Sent[]
  let answer: (one: Sent) => Promise<PostOutcome> | PostOutcome

  beforeEach(async () => {
    await sql`truncate webhooks, webhook_deliveries, webhook_events, budget_alerts, teams cascade`.execute(
      database.db,
    )
    sent = []
    answer = () => ({ status: 204 })
  })

  /** Of one process. */
  const replica = ({ isForTeams = true } = {}) => {
    const repositories = createRepositories(database.db)
    const transact = createTransact(database.db)
    const post: Post = async (url, { headers, body }) => {
      sent.push({ url, headers, body })
      return answer({ url, headers, body })
    }
    const queue = new EventQueue({ transact, vault, isForTeams })
    const worker = new WebhookDeliveries({ repositories, queue, vault, post, isForTeams, log })
    return { repositories, worker, run: (stop = NEVER) => worker.runRound(stop) }
  }

  const addWebhook = async (
    events: string[],
    { url = 'https://hooks.example/x', teamId = null as string | null } = {},
  ) => {
    const id = randomUUID()
    const secret = newWebhookSecret()
    const { wrapped, vault: own } = vault.createWebhookKey(id)
    await replica().repositories.webhooks.insert({
      ...{ id, teamId, dataKey: wrapped, events, createdBy: null },
      ...{ url: own.sealUrl(url), secret: own.sealSecret(secret) },
    })
    return { id, secret, own }
  }

  const addTeam = async (name: string) => {
    const id = randomUUID()
    const team = { id, name, nameKey: name, createdBy: null, dataKey: Buffer.alloc(1) }
    await database.db.insertInto('teams').values(team).execute()
    return id
  }

  const happen = (
    event: string,
    teamId: string | null = null,
    data: Record<string, unknown> = {},
  ) => replica().repositories.webhookEvents.insert({ id: randomUUID(), event, teamId, data })

  /** Time passes for what waits. */
  const later = (seconds: number) =>
    sql`update webhook_deliveries set
      next_attempt_at = next_attempt_at - make_interval(secs => ${seconds})`.execute(database.db)

  const stateOf = async (id: string) => {
    const row = await database.db
      .selectFrom('webhooks')
      .selectAll()
      .where('id', '=', id)
      .executeTakeFirstOrThrow()
    const { disabledReason, lastProblem, failingSince } = row
    return { disabledReason, lastProblem, isFailing: failingSince !== null, dropped: row.dropped }
  }

  const queuedOf = async (id: string) => {
    const rows = await database.db
      .selectFrom('webhookDeliveries')
      .select(['attempts', 'deliveredAt', 'nextAttemptAt'])
      .where('webhookId', '=', id)
      .execute()
    return rows.filter(({ deliveredAt }) => deliveredAt === null)
  }

  test('an event goes to those who asked for it, signed, with the name of its team', async () => {
    const blue = await addTeam('Blue')
    const ofBlue = await addWebhook(['member.added'], { teamId: blue })
    const ofOther = await addWebhook(['member.added'], { teamId: await addTeam('Red') })
    const ofAll = await addWebhook(['member.added', 'sign_in.locked'], {
      url: 'https://all.example/',
    })
    const ofNone = await addWebhook(['audit.checkpoint'])
    await happen('member.added', blue, { user_id: 'ada' })
    await replica().run()
    expect(sent.map(({ url }) => url).sort()).toEqual([
      'https://all.example/',
      'https://hooks.example/x',
    ])
    for (const one of sent) {
      const { secret } = one.url === 'https://all.example/' ? ofAll : ofBlue
      expect(verifiedBody(one, secret)).toEqual({
        type: 'member.added',
        timestamp: expect.stringMatching(/^\d{4}-.*Z$/),
        data: { event_id: expect.any(String), team: { id: blue, name: 'Blue' }, user_id: 'ada' },
      })
      expect(() => verifiedBody(one, ofOther.secret)).toThrow()
      expect(() => verifiedBody({ ...one, body: `${one.body} ` }, secret)).toThrow()
    }
    await replica().run()
    expect(sent).toHaveLength(2)
    expect(await stateOf(ofNone.id)).toMatchObject({ isFailing: false })
  })

  test('an alert is told once, with figures', async () => {
    const { secret } = await addWebhook(['budget.threshold', 'budget.exceeded'])
    const { repositories, run } = replica()
    const userId = randomUUID()
    const book = { bookKind: 'user' as const, bookId: userId, userId, period: 'day' as const }
    const limit = { nanoUsd: 5_000_000_000n, tokens: null }
    await repositories.budgetAlerts.insertStop({ ...book, startsOn: '2026-11-30', limit })
    await sql`insert into budget_alerts (book_kind, book_id, user_id, period, starts_on, threshold,
      limit_nano_usd, spent_nano_usd, spent_tokens)
      values ('user', ${userId}, ${userId}, 'month', '2026-11-01', 80, 10000000000, 8120000000, 5)`.execute(
      database.db,
    )
    await Promise.all([run(), replica().run()])
    await run()
    const bodies = sent.map((one) => verifiedBody(one, secret))
    expect(bodies.map(({ type }) => type).sort()).toEqual(['budget.exceeded', 'budget.threshold'])
    const threshold = bodies.find(({ type }) => type === 'budget.threshold')
    expect(threshold?.data).toEqual({
      event_id: expect.any(String),
      ...{ budget: 'user', user_id: userId, period: 'month', starts_on: '2026-11-01' },
      resets_at: '2026-12-01T00:00:00.000Z',
      ...{ threshold_percent: 80, limit_usd: 10, limit_tokens: null },
      ...{ spent_usd: 8.12, spent_tokens: 5 },
    })
  })

  test('several replicas at once deliver each event once', async () => {
    const { secret } = await addWebhook(['member.added'])
    for (let index = 0; index < 60; index++) await happen('member.added', null, { index })
    answer = () => new Promise((resolve) => setTimeout(() => resolve({ status: 200 }), 5))
    await Promise.all(Array.from({ length: 4 }, () => replica().run()))
    await replica().run()
    const seen = sent.map((one) => (verifiedBody(one, secret).data as { index: number }).index)
    expect(seen.sort((a, b) => a - b)).toEqual(Array.from({ length: 60 }, (_, index) => index))
  })

  test('a failed one is tried again by the plan, under its id, and then given up', async () => {
    const { id, secret } = await addWebhook(['member.added'])
    await happen('member.added')
    answer = () => ({ status: 500 })
    for (const seconds of RETRY_AFTER_SECONDS) {
      await replica().run()
      const [waiting] = await queuedOf(id)
      const waitSeconds = ((waiting?.nextAttemptAt.getTime() ?? 0) - Date.now()) / 1000
      expect(Math.abs(waitSeconds - seconds)).toBeLessThan(60)
      const before = sent.length
      await later(seconds - 60)
      if (seconds > 120) await replica().run()
      expect(sent.length).toBe(before)
      await later(120)
    }
    expect(await stateOf(id)).toMatchObject({
      ...{ isFailing: true, lastProblem: 'it was answered with status 500', dropped: '0' },
    })
    await replica().run()
    expect(sent).toHaveLength(RETRY_AFTER_SECONDS.length + 1)
    expect(new Set(sent.map(({ headers }) => headers['webhook-id'])).size).toBe(1)
    for (const one of sent) verifiedBody(one, secret)
    expect(await queuedOf(id)).toEqual([])
    expect(await stateOf(id)).toMatchObject({ dropped: '1', disabledReason: null })
  })

  test('a success ends the time of failures', async () => {
    const { id } = await addWebhook(['member.added'])
    await happen('member.added')
    answer = () => ({ shown: 'its host refused the connection', logged: 'ECONNREFUSED' })
    await replica().run()
    expect(await stateOf(id)).toMatchObject({ lastProblem: 'its host refused the connection' })
    answer = () => ({ status: 200 })
    await later(60)
    await replica().run()
    expect(await stateOf(id)).toMatchObject({ isFailing: false, lastProblem: null, dropped: '0' })
    expect(await queuedOf(id)).toEqual([])
  })

  test('a redirect is a failure', async () => {
    const { id } = await addWebhook(['member.added'])
    await happen('member.added')
    answer = () => ({ status: 302 })
    await replica().run()
    expect(await stateOf(id)).toMatchObject({ isFailing: true })
  })

  test('410 disables it at once, and gives up what else was on its way', async () => {
    const { id } = await addWebhook(['member.added'])
    for (let index = 0; index < 8; index++) await happen('member.added')
    answer = () => ({ status: 410 })
    await replica().run()
    expect(await stateOf(id)).toMatchObject({ disabledReason: 'gone' })
    expect(await queuedOf(id)).toEqual([])
    const before = sent.length
    await happen('member.added')
    await replica().run()
    expect(sent.length).toBe(before)
  })

  test('three days of failures disable it', async () => {
    const { id } = await addWebhook(['member.added'])
    await happen('member.added')
    answer = () => ({ status: 503 })
    await replica().run()
    await sql`update webhooks set failing_since = now() - interval '71 hours'`.execute(database.db)
    await later(60)
    await replica().run()
    expect(await stateOf(id)).toMatchObject({ disabledReason: null })
    await sql`update webhooks set failing_since = now() - interval '73 hours'`.execute(database.db)
    await later(3600)
    await replica().run()
    expect(await stateOf(id)).toMatchObject({ disabledReason: 'failing', dropped: '1' })
  })

  test('what a process was delivering when it died is delivered by another, under the same id', async () => {
    const { id, secret } = await addWebhook(['member.added'])
    await happen('member.added')
    const dying = new AbortController()
    answer = () => {
      dying.abort()
      return { shown: 'aborted', logged: 'aborted' }
    }
    await replica().run(dying.signal)
    expect(sent).toHaveLength(1)
    answer = () => ({ status: 200 })
    // Until its claim has ended no other process takes it.
    await replica().run()
    expect(sent).toHaveLength(1)
    expect(await stateOf(id)).toMatchObject({ isFailing: false })
    await later(30)
    await replica().run()
    expect(sent).toHaveLength(2)
    const [first, second] = sent
    expect(second?.headers['webhook-id']).toBe(first?.headers['webhook-id'])
    if (second) verifiedBody(second, secret)
  })

  test('an event that could not be queued is there for the next round', async () => {
    await addWebhook(['member.added'])
    await happen('member.added')
    const transact = createTransact(database.db)
    const broken = {
      openWebhook: () => {
        throw new Error('no key')
      },
    } as never
    const queue = new EventQueue({ transact, vault: broken, isForTeams: true })
    await expect(queue.run()).rejects.toThrow('no key')
    await replica().run()
    expect(sent).toHaveLength(1)
  })

  test('while the secret is being replaced both sign, and later only the new one', async () => {
    const { id, secret, own } = await addWebhook(['member.added'])
    const next = newWebhookSecret()
    const { repositories, run } = replica()
    const found = await repositories.webhooks.lock(id, { teamId: null })
    if (!found) throw new Error('the webhook is gone')
    const previousSecret = found.secret
    const replaced = { secret: own.sealSecret(next), previousSecret, seconds: 3600 }
    await repositories.webhooks.replaceSecret(id, replaced)
    await happen('member.added')
    await run()
    for (const one of [secret, next]) verifiedBody(sent[0] as Sent, one)
    await sql`update webhooks set previous_until = now() - interval '1 second'`.execute(database.db)
    await happen('member.added')
    await run()
    verifiedBody(sent[1] as Sent, next)
    expect(() => verifiedBody(sent[1] as Sent, secret)).toThrow()
  })

  test('a receiver that is slow holds up no other, and its queue has an end', async () => {
    const slow = await addWebhook(['member.added'], { url: 'https://slow.example/' })
    await addWebhook(['sign_in.locked'], { url: 'https://quick.example/' })
    await sql`insert into webhook_events (id, event, data)
      select gen_random_uuid(), 'member.added', '{}'
      from generate_series(1, ${MOST_QUEUED + 5}::integer)`.execute(database.db)
    await happen('sign_in.locked')
    answer = ({ url }) =>
      url.startsWith('https://slow') ? { shown: 'slow', logged: 'slow' } : { status: 200 }
    const { worker } = replica()
    const stop = new AbortController()
    await worker.runRound(stop.signal)
    expect(sent.filter(({ url }) => url === 'https://quick.example/')).toHaveLength(1)
    const open = await queuedOf(slow.id)
    expect(open.length).toBeLessThanOrEqual(MOST_QUEUED)
    const { dropped } = await stateOf(slow.id)
    expect(open.length + Number(dropped)).toBe(MOST_QUEUED + 5)
  })

  test('with TEAM_WEBHOOKS=off those of teams are told of nothing', async () => {
    const blue = await addTeam('Blue')
    const { id } = await addWebhook(['member.added'], { teamId: blue })
    await happen('member.added', blue)
    await replica({ isForTeams: false }).run()
    expect(sent).toEqual([])
    expect(await queuedOf(id)).toEqual([])
  })

  test('without webhooks what happens is forgotten, and the round ends', async () => {
    await happen('member.added')
    await replica().run()
    const { rows } = await sql`select from webhook_events`.execute(database.db)
    expect(rows).toEqual([])
  })

  test('nothing of a webhook is in the database in clear', async () => {
    const { secret } = await addWebhook(['member.added'], { url: 'https://hooks.example/canary' })
    await happen('member.added', null, { user_id: 'canary-user' })
    answer = () => ({ status: 500 })
    await replica().run()
    for (const table of ['webhooks', 'webhook_deliveries']) {
      const { rows } = await sql<{
        row: string
      }>`select t::text as row from ${sql.table(table)} t`.execute(database.db)
      const bytes = rows.map(({ row }) => row + Buffer.from(row).toString('hex')).join()
      for (const clear of ['canary', 'hooks.example', secret]) {
        expect(bytes).not.toContain(clear)
        expect(bytes).not.toContain(Buffer.from(clear).toString('hex'))
      }
    }
  })
})
