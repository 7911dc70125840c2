/** What is reported by team, member, tag, model and day is the ledger, exactly. */

import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { groupsOf, printReport } from '../../../src/admin/report.ts'
import { describeDatabases } from '../../support/databases.ts'
import { startApp, type TestApp, type TestClient, type TestUser } from '../../support/start-app.ts'
import { callerOf, newTeam, type TestTeam } from '../../support/teams.ts'

const ALWAYS = { from: '2000-01-01', to: '2999-12-31' }

describeDatabases('an allocation of costs', (kind) => {
  let app: TestApp
  let people: TestUser[]
  let clients: TestClient[]
  let teams: TestTeam[]

  beforeAll(async () => {
    app = await startApp({ kind })
    people = [await app.register(), await app.register(), await app.register()]
    clients = await Promise.all(people.map((user) => app.connect('modern', user.accessToken)))
    teams = [await newTeam(app, people), await newTeam(app, people)]
    const payers = ['own', ...teams.map(({ id }) => `team:${id}`)]
    for (const [index, client] of clients.entries())
      for (const pay_with of payers)
        for (const tag of ['a', `b${index}`, undefined])
          await client.call('send_message', { message: `hi ${tag}`, pay_with, ...(tag && { tag }) })
  })
  afterAll(() => app.close())

  const ledgerSum = async () => {
    const { rows } = await sql<{ nanoUsd: string; calls: number }>`
      select sum(cost_nano_usd) as nano_usd, count(*)::int as calls from ledger`.execute(app.app.db)
    return rows[0]
  }
  const report = async (groups: string, format: 'csv' | 'jsonl' = 'jsonl') => {
    const lines: string[] = []
    const print = (line: string) => void lines.push(line)
    await printReport(app.app.repositories, ALWAYS, groupsOf(groups), format, print)
    return lines
  }
  const records = async (groups: string) => (await report(groups)).map((line) => JSON.parse(line))
  const nano = (usd: string) => BigInt(Math.round(Number(usd) * 1e9))

  test.each(['team,member,tag,model,day,payer', 'team', 'member,tag', 'day', 'payer'])(
    'by %s adds up to the ledger',
    async (groups) => {
      const rows = await records(groups)
      const total = await ledgerSum()
      expect(rows.reduce((sum, row) => sum + nano(row.cost_usd), 0n)).toBe(
        BigInt(total?.nanoUsd ?? 0),
      )
      expect(rows.reduce((sum, row) => sum + row.calls, 0)).toBe(total?.calls)
      expect(total?.calls).toBe(27)
    },
  )

  test('has a line for each combination, of teams and of none', async () => {
    const rows = await records('team,member')
    expect(rows).toHaveLength(9)
    expect(rows.filter(({ team }) => team === null)).toHaveLength(3)
    expect(new Set(rows.map(({ calls }) => calls))).toEqual(new Set([3]))
    const csv = await report('team,member', 'csv')
    expect(csv[0]).toMatch(/^team,team_id,member,member_id,calls,/)
    expect(csv).toHaveLength(10)
    // Each is printed with a line break, and an empty line is a row to a spreadsheet.
    expect(csv.filter((line) => /[\r\n]/.test(line))).toEqual([])
  })

  test('stays when the team is renamed or archived, and when a member is deleted', async () => {
    const before = await records('team,member,model')
    const [owner, , leaving] = people as [TestUser, TestUser, TestUser]
    const caller = await callerOf(app, owner)
    await app.app.services.teams.rename(caller, teams[0]?.id ?? '', 'Another name')
    await app.app.services.teams.archive(caller, teams[1]?.id ?? '')
    await app.app.services.accounts.delete(await callerOf(app, leaving), leaving.password)
    const after = await records('team,member,model')
    const figures = (rows: typeof before) =>
      rows.map(({ team: _, member: __, ...row }) => JSON.stringify(row)).sort()
    expect(figures(after)).toEqual(figures(before))
    expect(after.map(({ team }) => team)).toContain('Another name')
    expect(await app.app.repositories.ledgerAudit.listDrift()).toEqual([])
  })

  test('shows an auditor what everybody did, by one group and by two', async () => {
    const auditor = await app.register()
    const { userAdministration } = app.app.services
    await userAdministration.setRole('operator', auditor.username, 'auditor')
    const client = await app.connect('modern', auditor.accessToken)
    const spentBy = async (group_by: string | string[]) => {
      const { rows, scope } = (await client.call('get_usage', { group_by })).structured.data
      const usd = rows.map((row: { cost_usd: number }) => row.cost_usd)
      return [scope, Math.round(usd.reduce((a: number, b: number) => a + b, 0) * 1e9)]
    }
    const total = Number((await ledgerSum())?.nanoUsd)
    for (const groups of ['tag', ['team', 'member'], ['member', 'tag']]) {
      expect(await spentBy(groups)).toEqual(['everybody', total])
    }
  })

  test('shows a member their own part, and those who manage the team all of it', async () => {
    const args = { team: teams[0]?.id, group_by: ['member', 'tag'] }
    const [owners, members] = clients as [TestClient, TestClient]
    const all = (await owners.call('get_usage', args)).structured.data
    expect(all).toMatchObject({ scope: 'everybody', group_by: 'member,tag' })
    const own = (await members.call('get_usage', args)).structured.data
    expect(own.scope).toBe('own')
    expect(new Set(own.rows.map(({ key }: { key: string }) => key))).toEqual(
      new Set([people[1]?.username]),
    )
    const page = (await owners.call('get_usage', { ...args, limit: 2 })).structured.data
    expect(page.rows).toEqual(all.rows.slice(0, 2))
    expect(page.next_offset).toBe(2)
    const stranger = await app.connect('modern', (await app.register()).accessToken)
    expect((await stranger.call('get_usage', args)).structured.error.code).toBe('not_found')
  })

  test('shows what was paid with own keys, and what by teams', async () => {
    const [client] = clients as [TestClient]
    const ask = async (args: object) =>
      (await client.call('get_usage', { group_by: 'payer', ...args })).structured
    const byPayer = (await ask({})).data.rows
    expect(byPayer.map(({ key, calls }: { key: string; calls: number }) => [key, calls])).toEqual([
      ['own', 3],
      ['team', 6],
    ])
    for (const [index, payer] of ['own', 'team'].entries())
      expect((await ask({ payer })).data.rows).toEqual([byPayer[index]])
    const teamId = teams[0]?.id
    const ofOne = (await ask({ payer: 'team', team: teamId, group_by: ['payer', 'member'] })).data
    expect(ofOne.rows).toContainEqual(
      expect.objectContaining({ key: 'team', second_key: people[0]?.username, calls: 3 }),
    )
    const wrong = (await ask({ payer: 'own', team: teamId })).error
    expect([wrong.code, wrong.details.fields ?? [wrong.details.field]]).toEqual([
      'invalid_input',
      ['payer'],
    ])
    expect((await ask({ payer: 'own', group_by: 'session' })).error.details.fields).toEqual([
      'group_by',
    ])
  })

  test('has the last four characters of each key that paid', async () => {
    const [client] = clients as [TestClient]
    const { rows } = (await client.call('get_usage', { group_by: 'key' })).structured.data
    const calls = new Map(rows.map((row: { key: string; calls: number }) => [row.key, row.calls]))
    const keys = [people[0], ...teams].map((payer) => payer?.apiKey.slice(-4) ?? '')
    expect(calls).toEqual(new Map(keys.map((key) => [key, 3])))
  })

  test('shows an auditor what any team paid for, also one that they are not in', async () => {
    const auditor = await app.register()
    const { userAdministration } = app.app.services
    await userAdministration.setRole('operator', auditor.username, 'auditor')
    const client = await app.connect('modern', auditor.accessToken)
    const args = { team: teams[0]?.id, group_by: 'team' }
    const { rows, scope } = (await client.call('get_usage', args)).structured.data
    expect([scope, rows.length, rows[0].calls]).toEqual(['everybody', 1, 9])
  })
})
