/** The faults, and when each strikes. */

import { randomInt } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Fault } from '../support/claude-stand-in/faults.ts'
import type { RestartableCluster } from '../support/restartable-cluster.ts'
import { failedOver, readOnly, rowsLocked } from './database-faults.ts'
import type { SmallDisk } from './disk.ts'
import type { Findings } from './findings.ts'
import type { Observations } from './observations.ts'
import type { Replica } from './replica.ts'
import type { Habits } from './sender.ts'
import type { Upstream } from './upstream.ts'

export type Stage = {
  replicas: readonly Replica[]
  cluster: RestartableCluster
  upstream: Upstream
  disk: SmallDisk | { missing: string }
  habits: Habits
  /** Sender after sender in turn has one of these. */
  userIds: string[]
  seen: Observations
  findings: Findings
}

export type Deeds = Record<string, number>
type Mischief = (stage: Stage, deeds: Deeds, signal: AbortSignal) => Promise<void>
export type Phase = { name: string; share: number; mischief: Mischief[] }

const count = (deeds: Deeds, deed: string) => {
  deeds[deed] = (deeds[deed] ?? 0) + 1
}

/** One after the other, as an upgrade does it, while nothing else is wrong. */
const restartInTurn: Mischief = async ({ replicas, habits, seen, findings }, deeds, signal) => {
  const { vanishPercent } = habits
  habits.vanishPercent = 0
  const before = seen.failures.length
  for (let i = 0; !signal.aborted; i++) {
    await (replicas[i % replicas.length] as Replica).restart()
    count(deeds, 'gateway stopped and started')
    // Until the balancer has seen that it is ready.
    await sleep(1000)
  }
  habits.vanishPercent = vanishPercent
  const failures = seen.failures.slice(before)
  const promise = 'no call fails while the gateways are restarted in turn (calls that failed)'
  findings.note(promise)
  for (const failure of failures) findings.note(promise, `during the restarts: ${failure}`)
}

/** One process every few seconds. */
const kill: Mischief = async ({ replicas }, deeds, signal) => {
  while (await pause(3000 + randomInt(3000), signal)) {
    const up = replicas.filter(({ isListening }) => isListening)
    const victim = up[randomInt(Math.max(1, up.length))]
    // One that starts is let start: a gateway that never runs can lose nothing.
    if (!victim) continue
    victim.kill()
    count(deeds, 'kill -9 of a gateway')
  }
}

/** Never leaves it stopped. */
const stopPostgresql: Mischief = async ({ cluster }, deeds, signal) => {
  while (await pause(2500 + randomInt(2000), signal)) {
    const mode = randomInt(2) === 0 ? 'fast' : 'immediate'
    await cluster.halt(mode)
    count(deeds, mode === 'fast' ? 'PostgreSQL stopped' : 'PostgreSQL crashed')
    await pause(500 + randomInt(3500), signal)
    await cluster.start()
  }
}

const makeReadOnly: Mischief = async ({ cluster }, deeds, signal) => {
  while (await pause(1000 + randomInt(1000), signal)) {
    await readOnly(cluster.url, () => pause(1000 + randomInt(2000), signal))
    count(deeds, 'PostgreSQL read-only')
  }
}

/** Far longer than the gateways take, also on a slow machine. */
const LONGEST_FAILOVER_MS = 30_000

/** Once, for the whole time: the connections of before are of no use any more. */
const failOver: Mischief = async ({ cluster, seen, findings }, deeds, signal) => {
  await failedOver(cluster.url, async () => {
    count(deeds, 'failover')
    const before = seen.acknowledged.size
    while (await pause(100, signal));
    const until = performance.now() + LONGEST_FAILOVER_MS
    while (seen.acknowledged.size <= before && performance.now() < until) await sleep(100)
    const isServed = seen.acknowledged.size > before
    const violation = isServed ? undefined : 'no answer was stored after the failover'
    findings.note('after a failover the gateways find the new server', violation)
  })
}

const fillDisk: Mischief = async ({ disk }, deeds, signal) => {
  if ('missing' in disk) {
    count(deeds, `left out, since no disk can be mounted here (${disk.missing})`)
    return
  }
  while (await pause(500 + randomInt(1000), signal)) {
    await disk.fill()
    count(deeds, 'disk full')
    await pause(1000 + randomInt(2000), signal)
    await disk.free()
  }
}

/** Longer than a user is waited for, and in each of the tables that all users' statements have. */
const LOCKED = [
  (userId: string) => `select from users where id = '${userId}' for update`,
  (userId: string) => `select from spending where user_id = '${userId}' for update`,
  (userId: string) => `select from sessions where user_id = '${userId}' for update`,
]
const LOCK_MS = 3000
/** Held until the others have received so many answers, or so long that it is clear that they do not. */
const ANSWERS_MEANWHILE = 8
const LONGEST_LOCK_MS = 20_000

const lockOneUser: Mischief = async (stage, deeds, signal) => {
  const { cluster, userIds, seen, findings } = stage
  for (let i = 0; await pause(500, signal); i++) {
    const victim = i % userIds.length
    const others = () => seen.countOf((sender) => sender % userIds.length !== victim)
    const lock = (LOCKED[i % LOCKED.length] as (typeof LOCKED)[number])(userIds[victim] as string)
    await rowsLocked(cluster.url, lock, async () => {
      count(deeds, "one user's rows locked")
      const enough = others() + ANSWERS_MEANWHILE
      const until = performance.now() + LONGEST_LOCK_MS
      await sleep(LOCK_MS)
      while (others() < enough && performance.now() < until) await sleep(100)
      const violation = others() < enough ? `others stood still during: ${lock}` : undefined
      findings.note("others go on while one user's rows are locked", violation)
    })
  }
}

const TROUBLES: [string, () => Fault[]][] = [
  ['storm of twelve 529', () => times(12, () => ({ kind: 'status', status: 529 }))],
  ['stall', () => times(3, () => ({ kind: 'stream_stall', afterChunks: randomInt(6) }))],
  ['end without an end', () => times(2, () => ({ kind: 'stream_end', afterChunks: randomInt(6) }))],
  ['cut', () => times(2, () => ({ kind: 'stream_drop', afterChunks: randomInt(6) }))],
  [
    'error in the stream',
    () =>
      times(2, () => ({
        kind: 'stream_error',
        type: 'overloaded_error',
        afterChunks: randomInt(6),
      })),
  ],
]

/** Each kind in turn, so that a short run has them all. */
const troubleUpstream: Mischief = async ({ upstream }, deeds, signal) => {
  for (let i = randomInt(TROUBLES.length); await pause(800 + randomInt(700), signal); i++) {
    const [name, faults] = TROUBLES[i % TROUBLES.length] as (typeof TROUBLES)[number]
    upstream.script(...faults())
    count(deeds, `upstream: ${name}`)
  }
}

const vanish: Mischief = async ({ habits }, _deeds, signal) => {
  const before = habits.vanishPercent
  habits.vanishPercent = 50
  while (await pause(1000, signal));
  habits.vanishPercent = before
}

/** In order, with their shares of the time. The first is the only one in which no call may fail. */
const PHASES: readonly Phase[] = [
  { name: 'restarted in turn', share: 0.18, mischief: [restartInTurn] },
  { name: 'processes killed', share: 0.16, mischief: [kill] },
  { name: 'PostgreSQL away', share: 0.12, mischief: [stopPostgresql] },
  { name: 'PostgreSQL read-only', share: 0.08, mischief: [makeReadOnly] },
  { name: 'PostgreSQL failed over', share: 0.08, mischief: [failOver] },
  { name: 'disk full', share: 0.07, mischief: [fillDisk] },
  { name: "one user's locks", share: 0.1, mischief: [lockOneUser] },
  { name: 'upstream in trouble', share: 0.08, mischief: [troubleUpstream] },
  { name: 'clients vanish', share: 0.05, mischief: [vanish] },
  { name: 'all at once', share: 0.08, mischief: [kill, stopPostgresql, troubleUpstream, vanish] },
]

/** All of them, or one with all of the time. */
export function phasesOf(only: string | undefined): readonly Phase[] {
  if (only === undefined) return PHASES
  const chosen = PHASES.filter(({ name }) => name === only)
  if (chosen.length > 0) return chosen.map((phase) => ({ ...phase, share: 1 }))
  throw new Error(`--only takes one of: ${PHASES.map(({ name }) => name).join(', ')}`)
}

/** @returns what was done, how often. */
export async function runPhase(phase: Phase, stage: Stage, seconds: number): Promise<Deeds> {
  const deeds: Deeds = {}
  const signal = AbortSignal.timeout(Math.round(seconds * phase.share * 1000))
  await Promise.all(phase.mischief.map((mischief) => mischief(stage, deeds, signal)))
  return deeds
}

/** @returns false when the phase is over, which ends the pause. */
async function pause(ms: number, signal: AbortSignal): Promise<boolean> {
  await sleep(ms, undefined, { signal }).catch(() => {})
  return !signal.aborted
}

const times = <T>(n: number, make: () => T) => Array.from({ length: n }, make)
