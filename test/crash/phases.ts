/** The faults, and when each strikes. */

import { randomInt } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Fault } from '../support/claude-stand-in/faults.ts'
import type { RestartableCluster } from '../support/restartable-cluster.ts'
import type { Replica } from './replica.ts'
import type { Habits } from './sender.ts'
import type { Upstream } from './upstream.ts'

export type Stage = {
  replicas: readonly Replica[]
  cluster: RestartableCluster
  upstream: Upstream
  habits: Habits
}

export type Deeds = Record<string, number>
type Mischief = (stage: Stage, deeds: Deeds, signal: AbortSignal) => Promise<void>
export type Phase = { name: string; share: number; mischief: Mischief[] }

const count = (deeds: Deeds, deed: string) => {
  deeds[deed] = (deeds[deed] ?? 0) + 1
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

/** In order, with their shares of the time. */
const PHASES: readonly Phase[] = [
  { name: 'processes killed', share: 0.3, mischief: [kill] },
  { name: 'PostgreSQL away', share: 0.2, mischief: [stopPostgresql] },
  { name: 'upstream in trouble', share: 0.15, mischief: [troubleUpstream] },
  { name: 'clients vanish', share: 0.15, mischief: [vanish] },
  { name: 'all at once', share: 0.2, mischief: [kill, stopPostgresql, troubleUpstream, vanish] },
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
  const signal = AbortSignal.timeout(seconds * phase.share * 1000)
  await Promise.all(phase.mischief.map((mischief) => mischief(stage, deeds, signal)))
  return deeds
}

/** @returns false when the phase is over, which ends the pause. */
async function pause(ms: number, signal: AbortSignal): Promise<boolean> {
  await sleep(ms, undefined, { signal }).catch(() => {})
  return !signal.aborted
}

const times = <T>(n: number, make: () => T) => Array.from({ length: n }, make)
