import { PersonalTokens } from '../access/personal-tokens.ts'
import { AccountInvitations } from '../accounts/account-invitations.ts'
import { AccountService } from '../accounts/accounts.ts'
import { UserAdministration } from '../accounts/administration.ts'
import { AccountDeletion } from '../accounts/deletion.ts'
import { Departure } from '../accounts/departure.ts'
import { ExportService } from '../accounts/export.ts'
import { FormerAccounts } from '../accounts/former-accounts.ts'
import { PasswordCheck } from '../accounts/password-check.ts'
import { PasswordLinks } from '../accounts/password-links.ts'
import type { CallService } from '../billing/calls.ts'
import type { BudgetRequests } from '../billing/requests/budget-requests.ts'
import type { Invitations } from '../teams/invitations.ts'
import type { AnswerService } from '../turns/answers/follow-answer.ts'
import type { Foundation } from './foundation.ts'

type Needed = {
  answers: AnswerService
  calls: CallService
  invitations: Invitations
  budgetRequests: BudgetRequests
}

/** Accounts, from invitation to deletion, and what signs in for them. */
export function createAccounts(foundation: Foundation, needed: Needed) {
  const { config, repositories, transact, audit, roles, sessions, vault, heavyReads } = foundation
  const { claude, passwords, memory, openExports: open, publicUrl } = foundation
  const { registrationOpen, validateApiKeys } = config.accounts
  const { answers, calls, invitations, budgetRequests } = needed
  const formerAccounts = new FormerAccounts({ vault })
  const departure = new Departure({ repositories, audit, vault })
  const deletion = new AccountDeletion({
    ...{ repositories, transact, audit, answers, calls, formerAccounts, departure },
  })
  const passwordCheck = new PasswordCheck({
    ...{ repositories, transact, audit, passwords },
    maxFailures: config.limits.signInFailuresPerAccount,
  })
  const passwordLinks = new PasswordLinks({
    ...{ repositories, transact, audit, roles, passwords, passwordCheck, publicUrl },
  })
  const accounts = new AccountService({
    ...{ repositories, transact, audit, claude, passwords, passwordCheck, deletion },
    ...{ formerAccounts, sessions, vault, invitations, roles, registrationOpen, validateApiKeys },
  })
  return {
    accounts,
    departure,
    passwordLinks,
    userAdministration: new UserAdministration({
      ...{ repositories, transact, audit, accounts, deletion, roles },
      ...{ answers, calls, passwords, passwordCheck, passwordLinks },
    }),
    accountInvitations: new AccountInvitations({ repositories, transact, audit, roles, publicUrl }),
    personalTokens: new PersonalTokens({ transact, audit }),
    exports: new ExportService({
      ...{ repositories, transact, audit, sessions, vault, heavyReads },
      ...{ memory, open, budgetRequests, publicUrl },
    }),
  }
}
