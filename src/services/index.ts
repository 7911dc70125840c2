import { createAccounts } from './composition/accounts.ts'
import { createAnswers } from './composition/answers.ts'
import { createApiKeys } from './composition/api-keys.ts'
import { createAudit } from './composition/audit.ts'
import { createBilling } from './composition/billing.ts'
import { createConversations } from './composition/conversations.ts'
import { createFoundation, type Parts } from './composition/foundation.ts'
import { createOperations } from './composition/operations.ts'
import { createPassThrough } from './composition/pass-through.ts'
import { createTeams } from './composition/teams.ts'
import { createTurns } from './composition/turns.ts'

export type Services = ReturnType<typeof createServices>

/** Creates the domain services, those of a domain in its part of `composition/`. */
export function createServices(parts: Parts) {
  const foundation = createFoundation(parts)
  const audit = createAudit(foundation)
  const billing = createBilling(foundation)
  const apiKeys = createApiKeys(foundation)
  const passingThrough = createPassThrough(foundation, billing, apiKeys)
  const answers = createAnswers(foundation)
  const conversations = createConversations(foundation, answers)
  const { branching, storage } = conversations
  const turns = createTurns(foundation, { billing, apiKeys, answers, branching })
  const teams = createTeams(foundation, answers, passingThrough, audit.reading)
  return {
    memory: parts.memory,
    sessions: foundation.sessions,
    audit,
    ...billing.services,
    ...apiKeys,
    ...passingThrough,
    ...answers,
    ...conversations,
    ...turns.services,
    ...teams,
    ...createAccounts(foundation, {
      answers: answers.answers,
      calls: passingThrough.calls,
      invitations: teams.invitations,
      budgetRequests: billing.services.budgetRequests,
    }),
    ...createOperations(foundation, {
      audit,
      running: answers.running,
      orphans: turns.orphans,
      calls: passingThrough.calls,
      storage,
    }),
  }
}
