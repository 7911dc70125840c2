import { BudgetAlerts } from '../billing/alerts/budget-alerts.ts'
import { OrphanLimits } from '../billing/alerts/orphan-limits.ts'
import { Books } from '../billing/books/books.ts'
import { BudgetSettings } from '../billing/budget-settings.ts'
import { Budgets } from '../billing/budgets.ts'
import { MeteredCalls } from '../billing/metered-call.ts'
import { Releases } from '../billing/releases.ts'
import { BudgetRequests } from '../billing/requests/budget-requests.ts'
import { RequestDecisions } from '../billing/requests/decisions.ts'
import { LimitRefusals } from '../billing/requests/refusals.ts'
import { TeamBudgets } from '../billing/teams/team-budgets.ts'
import { TeamPurses } from '../billing/teams/team-purses.ts'
import { UsageService } from '../billing/usage.ts'
import type { Foundation } from './foundation.ts'

export type Billing = ReturnType<typeof createBilling>

/** Budgets, their books and alerts, and teams as payers. `services`: what others than services use. */
export function createBilling(foundation: Foundation) {
  const { config, repositories, transact, audit, roles, vault, heavyReads, publicUrl, log } =
    foundation
  const { defaults, unpricedModels } = config.budgets
  const budgets = new Budgets({ defaults, unpricedModels })
  const budgetRequests = new BudgetRequests({
    ...{ repositories, transact, audit, vault, roles, budgets },
  })
  const budgetAlerts = new BudgetAlerts({ repositories, log })
  const releases = new Releases()
  const services = {
    budgetAlerts,
    budgetSettings: new BudgetSettings({ repositories, transact, audit, roles, budgets }),
    books: new Books({ repositories, budgets }),
    budgetRequests,
    requestDecisions: new RequestDecisions({ repositories, transact, audit, roles, budgets }),
    usage: new UsageService({ repositories, heavyReads }),
    teamBudgets: new TeamBudgets({ repositories, transact, audit }),
  }
  return {
    services,
    budgets,
    budgetAlerts,
    releases,
    meteredCalls: new MeteredCalls(releases),
    orphanLimits: new OrphanLimits({ repositories, budgets }),
    purses: new TeamPurses({ repositories, vault, publicUrl }),
    refusals: new LimitRefusals({ repositories, budgets, requests: budgetRequests }),
  }
}
