import type { Repositories } from '../repositories/index.ts'
import type { Services } from '../services/index.ts'
import { toUsd } from '../text/usd-amount.ts'

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
  for (const { period, covers, limit, spent, reserved, resetsAt } of budgets) {
    const limits = [
      limit.nanoUsd === null ? 'none in USD' : `${usd(limit.nanoUsd)} USD`,
      limit.tokens === null ? 'none in tokens' : `${limit.tokens} tokens`,
    ]
    const of = covers === 'everything' ? ' of everything' : ''
    print(`${period}: limit${of} ${limits.join(', ')}`)
    print(`  spent ${usd(spent.nanoUsd)} USD, ${spent.tokens} tokens`)
    print(`  reserved ${usd(reserved.nanoUsd)} USD, ${reserved.tokens} tokens`)
    print(`  resets at ${resetsAt.toISOString()}`)
  }
}

const usd = (nanoUsd: bigint) => toUsd(nanoUsd).toFixed(6)
