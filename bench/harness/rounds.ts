/** Contenders in turn, round by round: A B C A B C. What disturbs the machine disturbs them alike. */

import type { Generator } from '../load/generator.ts'
import type { Job, LoadResult } from '../load/job.ts'
import { median, percentile } from '../report/statistics.ts'
import { cpuMicros, familyCpuMicros, rssBytes } from './process-usage.ts'
import type { Scale } from './scale.ts'

/** `pids` are the processes whose cost is counted; none for what is not a server of ours to judge. */
export type Contender = {
  name: string
  isOurs?: boolean
  pids: number[]
  /** Of its database server, whose cost is counted apart. */
  databasePid?: number | undefined
  job: Job
  /** Before each round, outside its time. */
  prepare?: () => Promise<unknown>
  /** After each round. @returns what is wrong with what the round left behind. */
  check?: (result: LoadResult) => Promise<string | undefined>
}

export type Round = {
  result: LoadResult
  perSecond: number
  p50Ms: number
  p99Ms: number
  /** Of all requests together; undefined where it cannot be known. */
  cpuMicros: number | undefined
  databaseMicros: number | undefined
  rssBytes: number | undefined
}

/** Medians of the rounds, and the rounds. */
export type Outcome = {
  name: string
  isOurs: boolean
  rounds: Round[]
  perSecond: number
  p50Ms: number
  p99Ms: number
  /** Per good response; not a number where it cannot be known. */
  cpuMicros: number
  /** Of the database server, likewise. */
  databaseMicros: number
  rssBytes: number | undefined
  errors: Record<string, number>
}

/** Warms every contender up first. */
export async function interleave(
  generator: Generator,
  scale: Scale,
  contenders: readonly Contender[],
): Promise<Outcome[]> {
  for (const contender of contenders) {
    const { job } = contender
    await contender.prepare?.()
    await generator.run({ ...job, seconds: Math.min(job.seconds, scale.warmUpSeconds) })
  }
  const rounds = new Map<Contender, Round[]>(contenders.map((contender) => [contender, []]))
  for (let round = 0; round < scale.rounds; round++) {
    for (const [contender, done] of rounds) done.push(await measure(generator, contender))
    process.stderr.write('.')
  }
  return [...rounds].map(([contender, done]) => summary(contender, done))
}

async function measure(generator: Generator, contender: Contender): Promise<Round> {
  await contender.prepare?.()
  const before = cpuOf(contender)
  const result = await generator.run(contender.job)
  const after = cpuOf(contender)
  const complaint = await contender.check?.(result)
  if (complaint !== undefined) result.errors[complaint] = 1
  return {
    result,
    perSecond: result.requests / result.seconds,
    p50Ms: percentile(result.latencies, 0.5),
    p99Ms: percentile(result.latencies, 0.99),
    cpuMicros: difference(after.server, before.server),
    databaseMicros: difference(after.database, before.database),
    rssBytes: sum(contender.pids.map(rssBytes)),
  }
}

function summary({ name, isOurs = false }: Contender, rounds: Round[]): Outcome {
  const middle = (of: (round: Round) => number | undefined) =>
    median(rounds.map((round) => of(round) ?? Number.NaN))
  const errors: Record<string, number> = {}
  for (const { result } of rounds) {
    for (const [kind, count] of Object.entries(result.errors)) {
      errors[kind] = (errors[kind] ?? 0) + count
    }
  }
  return {
    name,
    isOurs,
    rounds,
    perSecond: middle((round) => round.perSecond),
    p50Ms: middle((round) => round.p50Ms),
    p99Ms: middle((round) => round.p99Ms),
    cpuMicros: middle(({ cpuMicros, result }) => share(cpuMicros, result)),
    databaseMicros: middle(({ databaseMicros, result }) => share(databaseMicros, result)),
    rssBytes: middle((round) => round.rssBytes),
    errors,
  }
}

const cpuOf = ({ pids, databasePid }: Contender) => ({
  server: sum(pids.map(cpuMicros)),
  database: databasePid === undefined ? undefined : familyCpuMicros(databasePid),
})

const difference = (after: number | undefined, before: number | undefined) =>
  after === undefined || before === undefined ? undefined : after - before

const share = (micros: number | undefined, { requests }: LoadResult) =>
  micros === undefined ? undefined : micros / requests

/** Undefined when one is, or there is none. */
function sum(values: (number | undefined)[]): number | undefined {
  if (values.length === 0) return undefined
  return values.reduce<number | undefined>(
    (total, value) => (total === undefined || value === undefined ? undefined : total + value),
    0,
  )
}
