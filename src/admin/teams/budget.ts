import type { Services } from '../../services/index.ts'
import { toUsd } from '../../text/usd-amount.ts'

type Print = (line: string) => void
type Period = 'day' | 'month'

const PERIODS: readonly Period[] = ['day', 'month']

/** In nano-USD. Null removes a limit of the installation; undefined leaves it. A limit in tokens stays. */
export async function setTeamBudget(
  { teamBudgets }: Services,
  team: string,
  limits: Record<Period, bigint | null | undefined>,
): Promise<void> {
  const changes = PERIODS.flatMap((period) => {
    const nanoUsd = limits[period]
    return nanoUsd === undefined ? [] : [{ period, change: { nanoUsd } }]
  })
  if (changes.length > 0) await teamBudgets.setPool('operator', team, changes)
}

export async function showTeamBudget(
  { teamBudgets }: Services,
  name: string,
  print: Print,
): Promise<void> {
  const { team, limits, pool } = await teamBudgets.showForOperator(name)
  print(`budget of the team ${team.name}`)
  for (const { period, spent, reserved, resetsAt } of pool) {
    const of = (setBy: 'admin' | 'team') =>
      limits.find((limit) => limit.period === period && limit.setBy === setBy)?.nanoUsd ?? null
    print(`${period}: limit ${shown(of('admin'))}, of the team itself ${shown(of('team'))}`)
    print(`  spent ${usd(spent.nanoUsd)} USD, reserved ${usd(reserved.nanoUsd)} USD`)
    print(`  resets at ${resetsAt.toISOString()}`)
  }
}

const shown = (nanoUsd: bigint | null) => (nanoUsd === null ? 'none' : `${usd(nanoUsd)} USD`)
const usd = (nanoUsd: bigint) => toUsd(nanoUsd).toFixed(6)
