import type { Repositories } from '../repositories/index.ts'
import type { Services } from '../services/index.ts'

type Print = (line: string) => void

/** @throws AppError not_found. */
export async function showBudget(
  { services, repositories }: { services: Services; repositories: Repositories },
  name: string,
  print: Print,
): Promise<void> {
  const budgets = await services.budgetSettings.showForUser(name)
  const user = await repositories.users.findByUsername(name.toLowerCase())
  print(`budget of ${user?.username ?? name}`)
  for (const { period, limit, spent, reserved, resetsAt } of budgets) {
    const limits = [
      limit.nanoUsd === null ? 'no limit in USD' : `${usd(limit.nanoUsd)} USD`,
      limit.tokens === null ? 'no limit in tokens' : `${limit.tokens} tokens`,
    ]
    print(`${period}: limit ${limits.join(', ')}`)
    print(`  spent ${usd(spent.nanoUsd)} USD, ${spent.tokens} tokens`)
    print(`  reserved ${usd(reserved.nanoUsd)} USD, ${reserved.tokens} tokens`)
    print(`  resets at ${resetsAt.toISOString()}`)
  }
}

const usd = (nanoUsd: bigint) => (Number(nanoUsd) / 1e9).toFixed(6)
