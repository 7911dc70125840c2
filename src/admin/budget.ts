import type { Services } from '../services/index.ts'

type Print = (line: string) => void

export async function showBudget(
  { budgetSettings }: Services,
  username: string,
  print: Print,
): Promise<void> {
  for (const { period, limit, spent, reserved, resetsAt } of await budgetSettings.showForUser(
    username,
  )) {
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
