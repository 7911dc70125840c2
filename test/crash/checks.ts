/** What has to hold in the end, whatever was done. Each check names every violation. */

import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { runSql } from '../support/database-supplies.ts'
import { API_CLIENTS, type ApiObservations } from './api-sender.ts'
import type { Line } from './calls.ts'
import type { Findings } from './findings.ts'
import type { Observations } from './observations.ts'
import type { Tally } from './upstream.ts'

export type Check = { promise: string; checked: number; violations: string[] }

export type Remains = {
  seen: Observations
  apiSeen: ApiObservations
  findings: Findings
  lines: readonly Line[]
  tallies: ReadonlyMap<string, Tally>
  databaseUrl: string
  settings: Record<string, string>
  /** Processes that ended although nobody killed them. */
  selfInflicted: string[]
  kills: number
}

const ADMIN = fileURLToPath(new URL('../../dist/admin.js', import.meta.url))
/** A lease, the search for orphans, and the time a replica waits before it judges others. */
const SETTLE_SECONDS = 60

/** Waits until no answer and no call runs any more, as each replica promises within 30 s of a death. */
export async function settle(databaseUrl: string): Promise<void> {
  const until = performance.now() + SETTLE_SECONDS * 1000
  while (performance.now() < until) {
    const [row] = await runSql(
      databaseUrl,
      `select (select count(*) from messages where status = 'running')::int
         + (select count(*) from calls)::int as running`,
    )
    if (row?.running === 0) return
    await new Promise((resolve) => setTimeout(resolve, 250))
  }
}

export async function checkAll(remains: Remains): Promise<Check[]> {
  return [
    await acknowledgedAreThere(remains),
    await announcedHaveEnded(remains),
    oneCallPerKey(remains),
    {
      promise: 'two answers to one key never differ, and an answer is never taken back',
      checked: remains.seen.keys.size,
      violations: remains.seen.contradictions,
    },
    nothingUnexplained(remains),
    ...(await apiCallsAreBooked(remains)),
    ...remains.findings.checks,
    ...(await databaseIsSound(remains.databaseUrl)),
    await ledgerVerifies(remains.settings),
    {
      promise: 'no process ends of a fault by itself',
      checked: remains.kills,
      violations: remains.selfInflicted,
    },
  ]
}

async function acknowledgedAreThere({ seen, lines }: Remains): Promise<Check> {
  const answers = [...seen.acknowledged.values()]
  const violations: string[] = []
  await eachOf(answers, async ({ sender, key, text, messageId }) => {
    const { data } = await lineOf(lines, sender).call('get_message', { message_id: messageId })
    if (data?.status !== 'complete' || data.content !== text) violations.push(`${key} is lost`)
  })
  const promise = 'every acknowledged answer is there, whole'
  return { promise, checked: answers.length, violations }
}

async function announcedHaveEnded({ seen, lines }: Remains): Promise<Check> {
  const announced = [...seen.announced]
  const violations: string[] = []
  await eachOf(announced, async ([messageId, sender]) => {
    const { data } = await lineOf(lines, sender).call('get_message', { message_id: messageId })
    if (data === undefined) violations.push(`message ${messageId} is lost`)
    else if (data.status === 'running') violations.push(`message ${messageId} still runs`)
  })
  const promise = 'every message_id that a client was told leads to an answer that has ended'
  return { promise, checked: announced.length, violations }
}

function oneCallPerKey({ seen, tallies }: Remains): Check {
  const violations: string[] = []
  for (const key of seen.keys) {
    const begun = tallies.get(key)?.begun ?? 0
    if (begun > 1) violations.push(`${key} was answered, and billed, ${begun} times`)
    if (begun < 1 && seen.acknowledged.has(key)) violations.push(`${key} was never answered`)
  }
  const promise = 'Claude answers a key at most once, an acknowledged one exactly once'
  return { promise, checked: seen.keys.size, violations }
}

/** Callers are told what is wrong, and may repeat; `internal` says neither. */
function nothingUnexplained({ seen }: Remains): Check {
  const violations = seen.failures.filter((failure) => failure === 'internal')
  return { promise: 'no call ends with `internal`', checked: seen.keys.size, violations }
}

/** By the marker, which each call sends as its session, and by Anthropic's id of the answer. */
async function apiCallsAreBooked(remains: Remains): Promise<Check[]> {
  const { apiSeen, tallies, databaseUrl } = remains
  const rows = await runSql(
    databaseUrl,
    `select session_label, request_id, estimated, output_tokens from ledger where source = 'messages'`,
  )
  const lines = new Map<string, typeof rows>()
  for (const row of rows) {
    const marker = String(row.session_label)
    lines.set(marker, [...(lines.get(marker) ?? []), row])
  }
  const begun = [...apiSeen.sent].filter((marker) => (tallies.get(marker)?.begun ?? 0) > 0)
  const twice = begun.filter((marker) => (tallies.get(marker)?.begun ?? 0) > 1)
  const unbooked = begun.filter((marker) => lines.get(marker)?.length !== 1)
  const whole = [...apiSeen.whole]
  const otherwise = whole.filter(([marker, { id }]) => {
    const [line] = lines.get(marker) ?? []
    return line?.estimated !== null || line?.request_id !== id
  })
  const { killed, wrong } = cutByKills(otherwise, (marker) => lines.get(marker)?.[0])
  const tooMany = killed.length > remains.kills * API_CLIENTS ? killed : []
  return [
    {
      promise: 'every call of the Messages API that Claude answered is in the ledger, once',
      checked: begun.length,
      violations: [
        ...twice.map((marker) => `${marker} was sent to Claude more than once`),
        ...unbooked.map((marker) => `${marker} has ${lines.get(marker)?.length ?? 0} lines`),
      ],
    },
    {
      promise:
        'those whose answer came whole are there as Anthropic counted them; with no less where their gateway was killed before it had booked them',
      checked: whole.length,
      violations: [...wrong, ...tooMany].map(
        (marker) =>
          `${marker} is booked as ${JSON.stringify(lines.get(marker))}, not ${JSON.stringify(apiSeen.whole.get(marker))}`,
      ),
    },
    {
      promise: 'no call of the Messages API ends with an error that explains nothing',
      checked: apiSeen.sent.size,
      violations: apiSeen.unexplained,
    },
  ]
}

type Row = Record<string, unknown>
type Whole = [marker: string, { id: string; outputTokens: number }]

/**
 * The last bytes go to the client before the call is booked, so a kill between them leaves a line that
 * is estimated.
 */
function cutByKills(whole: readonly Whole[], lineOf: (marker: string) => Row | undefined) {
  const isCut = ([marker, { outputTokens }]: Whole) => {
    const line = lineOf(marker)
    return line?.estimated === 'process_died' && Number(line.output_tokens) >= outputTokens
  }
  const killed = whole.filter(isCut).map(([marker]) => marker)
  const wrong = whole.filter((one) => !isCut(one)).map(([marker]) => marker)
  return { killed, wrong }
}

const DATABASE_PROMISES: [string, string, string][] = [
  [
    'no answer is left running',
    'select count(*)::int as count from messages',
    `select id from messages where status = 'running' or replica_id is not null`,
  ],
  [
    'no conversation is stuck',
    'select count(*)::int as count from conversations',
    'select id from conversations where running_message_id is not null',
  ],
  [
    'no call of the Messages API is left open',
    `select count(*)::int as count from ledger where source = 'messages'`,
    'select id from calls',
  ],
  [
    'no reservation is left',
    'select count(*)::int as count from spending',
    `select user_id || ' ' || period as id from spending
     where reserved_nano_usd <> 0 or reserved_tokens <> 0`,
  ],
  [
    'no reservation is left of a team, or of a member',
    'select count(*)::int as count from member_spending',
    `select team_id || ' ' || period as id from team_spending
     where reserved_nano_usd <> 0 or reserved_tokens <> 0
     union all
     select team_id || ' ' || user_id || ' ' || period from member_spending
     where reserved_nano_usd <> 0 or reserved_tokens <> 0
     union all
     select user_id || ' ' || period from spending
     where team_reserved_nano_usd <> 0 or team_reserved_tokens <> 0`,
  ],
  [
    'what members spent of a team adds up to what its pool spent, and to its lines in the ledger',
    `select count(*)::int as count from ledger where payer = 'team'`,
    `select p.team_id || ' ' || p.period || ' ' || p.starts_on as id
     from team_spending p
     where p.spent_nano_usd is distinct from (
       select sum(m.spent_nano_usd) from member_spending m
       where m.team_id = p.team_id and m.period = p.period and m.starts_on = p.starts_on
     ) or p.spent_tokens is distinct from (
       select sum(m.spent_tokens) from member_spending m
       where m.team_id = p.team_id and m.period = p.period and m.starts_on = p.starts_on
     ) or p.spent_nano_usd is distinct from (
       select coalesce(sum(l.cost_nano_usd), 0) from ledger l
       where l.team_id = p.team_id and date_trunc(p.period, l.booked_on)::date = p.starts_on
     )`,
  ],
  [
    'an answer that a team was to pay for was paid by it, and no other by a team',
    `select count(*)::int as count from messages where payer = 'team'`,
    `select l.message_id as id from ledger l
     join messages m on m.id = l.message_id
     where (l.payer = 'team') <> coalesce(m.payer = 'team' and m.paying_team_id = l.team_id, false)`,
  ],
  [
    'every complete answer is in the ledger',
    `select count(*)::int as count from messages where role = 'assistant' and status = 'complete'`,
    `select id from messages m where role = 'assistant' and status = 'complete'
     and not exists (select from ledger l where l.message_id = m.id)`,
  ],
]

async function databaseIsSound(url: string): Promise<Check[]> {
  return Promise.all(
    DATABASE_PROMISES.map(async ([promise, all, wrong]) => {
      const [row] = await runSql(url, all)
      const violations = (await runSql(url, wrong)).map(({ id }) => `${promise}: not so for ${id}`)
      return { promise, checked: Number(row?.count), violations }
    }),
  )
}

async function ledgerVerifies(settings: Record<string, string>): Promise<Check> {
  const { PATH, HOME } = process.env
  const said = await new Promise<{ code: number; words: string }>((resolve) => {
    const options = { env: { PATH, HOME, ...settings } }
    execFile(process.execPath, [ADMIN, 'ledger', 'verify'], options, (error, stdout, stderr) =>
      resolve({ code: error ? Number(error.code) : 0, words: `${stdout}${stderr}`.trim() }),
    )
  })
  const promise = '`ledger verify`: every sum is what its rows add up to'
  const checked = Number(/(\d+) rows/.exec(said.words)?.[1] ?? 0)
  return { promise, checked, violations: said.code === 0 ? [] : said.words.split('\n') }
}

const lineOf = (lines: readonly Line[], sender: number) => lines[sender] as Line

/** A few at a time; a call that fails on the way is made again. */
async function eachOf<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items]
  const worker = async () => {
    for (let item = queue.pop(); item !== undefined; item = queue.pop()) {
      await work(item).catch(() => work(item as T))
    }
  }
  await Promise.all(Array.from({ length: 6 }, worker))
}
