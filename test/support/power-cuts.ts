/** Power cuts, one after the other, on one folder of the embedded database. */

import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Durability } from '../../src/database/embedded/durability/log-flush.ts'
import { runUntilCut } from './forgetful-disk/cut.ts'
import type { Loss } from './forgetful-disk/memory.ts'
import { scratchFolder } from './scratch-folder.ts'

const WRITER = new URL('../database/children/keep-writing.ts', import.meta.url)

const LOSSES: readonly Loss[] = ['everything', 'contents', 'some']
/** What `fast` may lose. */
const FAST_LOSS_MS = 1000

type Row = { n: number; at: number }
type Found = { numbers: number[]; broken: number; agree: boolean; recovery?: object }

export type Finding = {
  cut: string
  /** Rows acknowledged until then, of all cuts before. */
  acknowledged: number
  /** Undefined when the database was not open yet when the power went. */
  found: number | undefined
  /** What must not be; none when all is well. */
  complaints: string[]
}

/**
 * Every other cut comes within the start, the others while rows are written. The process after each
 * cut starts with what the cut has left, and looks what is there.
 */
export async function* cutThePower(options: {
  cuts: number
  durability: Durability
  seed: number
}): AsyncGenerator<Finding> {
  const { cuts, durability, seed } = options
  const rest = await mkdtemp(join(scratchFolder(), 'gateway-cuts-'))
  let folder = join(rest, 'before')
  let acknowledged: Row[] = []
  let cutAt = Number.POSITIVE_INFINITY
  try {
    for (let number = 0; number <= cuts; number++) {
      const into = join(rest, String(number))
      const isLast = number === cuts
      const isAtStart = !isLast && number % 2 === 1
      const operations = isLast ? 1 : pick(seed + number, isAtStart ? 400 : 900)
      const loss = LOSSES[number % LOSSES.length] as Loss
      const place = { folder, into, loss, seed: seed + number, operations }
      const lines = await runUntilCut(WRITER, [folder, durability], {
        ...place,
        isCountedFromFirstLine: !isAtStart,
      })
      const { found, rows, endedAt } = read(lines)
      const due = durability === 'full' ? acknowledged : before(acknowledged, cutAt - FAST_LOSS_MS)
      yield {
        cut: `${loss} lost after ${operations} operations${isAtStart ? ' of a start' : ''}`,
        acknowledged: acknowledged.length,
        found: found?.numbers.length,
        complaints: found ? complaintsOf(found, due) : [],
      }
      if (found) acknowledged = found.numbers.map((n) => ({ n, at: 0 }))
      acknowledged = [...acknowledged, ...rows]
      cutAt = found ? endedAt : Math.min(cutAt, endedAt)
      await rm(folder, { recursive: true })
      folder = into
    }
  } finally {
    await rm(rest, { recursive: true })
  }
}

const before = (rows: readonly Row[], time: number) => rows.filter(({ at }) => at < time)

/** From 1 up to `most`, evenly, and the same again for the same seed. */
function pick(seed: number, most: number): number {
  const hash = Math.imul(seed + 1, 0x9e3779b1) >>> 0
  return 1 + (hash % most)
}

function read(lines: readonly string[]) {
  const endedAt = Number(lines.at(-1)?.split(' ')[1])
  const [first, ...acknowledgements] = lines.slice(0, -1)
  const rows = acknowledgements.map((line): Row => {
    const [n, at] = line.split(' ')
    return { n: Number(n), at: Number(at) }
  })
  return { found: first === undefined ? undefined : (JSON.parse(first) as Found), rows, endedAt }
}

function complaintsOf(found: Found, due: readonly Row[]): string[] {
  const numbers = new Set(found.numbers)
  const missing = due.filter(({ n }) => !numbers.has(n)).map(({ n }) => n)
  return [
    ...(missing.length > 0 ? [`acknowledged rows are missing: ${missing.join(', ')}`] : []),
    ...(found.broken > 0 ? [`${found.broken} rows are not what was written`] : []),
    ...(found.agree ? [] : ['the rows, their index and their sum do not agree']),
    ...(found.recovery ? ['it did not open'] : []),
  ]
}
