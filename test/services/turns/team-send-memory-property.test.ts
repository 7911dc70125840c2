/**
 * Two replicas, one member, and a team whose key, limits, name, members and leave to spend change
 * between the messages: what a replica remembers of its purse may be stale, but nothing is paid with it.
 */

import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startSecondReplica } from '../../mcp/second-replica.ts'
import { hasPostgresql } from '../../support/databases.ts'
import { type ReplicaStep, replicaSteps } from '../../support/replica-steps.ts'
import { connectClient, startApp, type TestApp, type TestUser } from '../../support/start-app.ts'
import { callerOf, newTeam, type TestTeam } from '../../support/teams.ts'

const STEPS = 30
const NO_ROOM = { limitNanoUsd: '1', limitTokens: null }

const KINDS = [
  ...Array<'send'>(6).fill('send'),
  ...Array<'send by name'>(2).fill('send by name'),
  'send with the own key',
  'payer',
  'key',
  'name',
  'no pool',
  'no part of the pool',
  'no room in everything',
  'not a member',
  'no leave to spend',
  'no key',
] as const
type Kind = (typeof KINDS)[number]
type Step = ReplicaStep<Kind>

/** `isPaidFor`: whether the team pays in it where a call says nothing. */
type Conversation = { id: string; isPaidFor: boolean }
type World = { owner: TestUser; member: TestUser; team: TestTeam; conversations: Conversation[] }

describe.runIf(hasPostgresql)('what replicas remember of a team', () => {
  let app: TestApp
  let second: Awaited<ReturnType<typeof startSecondReplica>>
  let early = 0

  beforeAll(async () => {
    app = await startApp({ kind: 'postgresql' })
    second = await startSecondReplica(app)
    const { turnBeginnings } = app.app.repositories
    const begin = turnBeginnings.beginRemembered.bind(turnBeginnings)
    turnBeginnings.beginRemembered = async (turn) => {
      const begun = await begin(turn)
      if (turn.team && typeof begun !== 'string') early += 1
      return begun
    }
  })
  afterAll(async () => {
    await second.close()
    await app.close()
  })

  const call = async ({ replica }: Step, { accessToken }: TestUser, tool: string, args: object) => {
    const url = replica === 0 ? app.mcpUrl : second.url
    const client = await connectClient('legacy', url, accessToken)
    return client.call(tool, { ...args }).finally(() => client.close())
  }

  /** @param payer undefined: the call names none. */
  const send = (world: World, step: Step, to: Conversation | undefined, payer?: string) =>
    call(step, world.member, 'send_message', {
      message: 'Hi',
      ...(to && { conversation_id: to.id }),
      ...(payer && { pay_with: payer }),
    })

  async function sent(world: World, step: Step, to: Conversation | undefined, payer?: string) {
    const answer = await send(world, step, to, payer)
    expect(answer.isError, answer.text).toBe(false)
    const { conversation_id: id, paid_by } = answer.structured.data
    if (!to) world.conversations.push({ id, isPaidFor: false })
    const isTeams = payer === undefined ? to?.isPaidFor === true : payer !== 'own'
    const { apiKey } = isTeams ? world.team : world.member
    expect(app.claude.messageRequests().at(-1)?.key).toBe(apiKey)
    const key_last_four = apiKey.slice(-4)
    expect(paid_by).toEqual(
      isTeams
        ? { kind: 'team', team: world.team.name, key_last_four }
        : { kind: 'own', key_last_four },
    )
  }

  /** Twice, the second time with what the first has left in memory. */
  async function sentTwice(world: World, step: Step, payer: (of: World) => string | undefined) {
    const to = world.conversations[step.which % (world.conversations.length + 1)]
    for (let times = 0; times < 2; times++) await sent(world, step, to, payer(world))
  }

  const idOf = ({ team }: World) => `team:${team.id}`

  async function refused(world: World, step: Step, code: string) {
    const asked = app.claude.messageRequests().length
    const to = world.conversations.at(-1)
    const answer = await send(world, step, to, idOf(world))
    expect(answer.structured.error?.code, answer.text).toBe(code)
    expect(app.claude.messageRequests()).toHaveLength(asked)
  }

  /** As a connection has it. */
  const giveLeave = ({ member }: World, purses: string[]) =>
    app.app.db
      .updateTable('sessions')
      .set({ kind: 'connection', purses })
      .where('userId', '=', member.userId)
      .execute()

  const STEPS_OF: Record<Kind, (world: World, step: Step) => Promise<void>> = {
    send: (world, step) => sentTwice(world, step, idOf),
    'send by name': (world, step) => sentTwice(world, step, ({ team }) => `team:${team.name}`),
    'send with the own key': (world, step) => sentTwice(world, step, () => 'own'),
    async payer(world, step) {
      const to = world.conversations[step.which % world.conversations.length]
      if (!to) return
      to.isPaidFor = !to.isPaidFor
      const payer = to.isPaidFor ? idOf(world) : 'sender'
      const change = { conversation_id: to.id, payer }
      const changed = await call(step, world.member, 'update_conversation', change)
      expect(changed.isError, changed.text).toBe(false)
      for (let times = 0; times < 2; times++) await sent(world, step, to)
    },
    async key({ owner, team }, { which }) {
      team.apiKey = `sk-ant-api03-${String(which).padStart(24, '0')}`
      await app.app.services.teamKeys.replace(await callerOf(app, owner), team.id, team.apiKey)
    },
    async name({ owner, team }, { which }) {
      const wanted = `Team ${team.id.slice(-12)} ${which}`
      const caller = await callerOf(app, owner)
      team.name = (await app.app.services.teams.rename(caller, team.id, wanted)).name
    },
    async 'no pool'(world, step) {
      const teamId = world.team.id
      const { db } = app.app
      const budget = { teamId, period: 'month', setBy: 'team', ...NO_ROOM } as const
      await db.insertInto('teamBudgets').values(budget).execute()
      await refused(world, step, 'budget_exceeded')
      await db.deleteFrom('teamBudgets').where('teamId', '=', teamId).execute()
    },
    async 'no part of the pool'(world, step) {
      const teamId = world.team.id
      const userId = step.which % 2 === 0 ? world.member.userId : null
      const { db } = app.app
      const cap = { teamId, userId, period: 'day', ...NO_ROOM } as const
      await db.insertInto('memberCaps').values(cap).execute()
      await refused(world, step, 'budget_exceeded')
      await db.deleteFrom('memberCaps').where('teamId', '=', teamId).execute()
    },
    async 'no room in everything'(world, step) {
      const { userId } = world.member
      const { db } = app.app
      const limit = { period: 'day', setBy: 'admin', covers: 'everything', ...NO_ROOM } as const
      await db
        .insertInto('budgets')
        .values({ userId, ...limit })
        .execute()
      await refused(world, step, 'budget_exceeded')
      await db.deleteFrom('budgets').where('userId', '=', userId).execute()
    },
    async 'not a member'(world, step) {
      const { db } = app.app
      const { userId } = world.member
      const row = await db
        .deleteFrom('teamMembers')
        .where('userId', '=', userId)
        .returningAll()
        .executeTakeFirstOrThrow()
      await refused(world, step, 'not_found')
      const paidFor = world.conversations.find(({ isPaidFor }) => isPaidFor)
      if (paidFor) {
        const answer = await send(world, step, paidFor)
        expect(answer.structured.error?.code).toBe('payer_required')
      }
      await db.insertInto('teamMembers').values(row).execute()
    },
    async 'no leave to spend'(world, step) {
      await giveLeave(world, [])
      await refused(world, step, 'payer_required')
      await giveLeave(world, [world.team.id])
    },
    async 'no key'({ owner, team, ...world }, step) {
      const caller = await callerOf(app, owner)
      await app.app.services.teamKeys.remove(caller, team.id)
      await refused({ owner, team, ...world }, step, 'team_key_missing')
      await app.app.services.teamKeys.replace(caller, team.id, team.apiKey)
    },
  }

  test('is never what a message is paid with once it has changed', {
    timeout: 600_000,
  }, async () => {
    await fc.assert(
      fc.asyncProperty(replicaSteps(KINDS, STEPS), async (steps) => {
        const [owner, member] = [await app.register(), await app.register()]
        const team = await newTeam(app, [owner, member])
        const world: World = { owner, member, team, conversations: [] }
        await giveLeave(world, [team.id])
        for (const step of steps) await STEPS_OF[step.kind](world, step)
      }),
      { numRuns: 5, endOnFailure: true },
    )
    expect(early).toBeGreaterThan(0)
    expect(await app.app.repositories.ledgerAudit.listDrift()).toEqual([])
  })
})
