/** The one place where sessions begin. */

import { AppError } from '../../errors.ts'
import type { NewSession } from '../../repositories/access/sessions.ts'
import type { InTransaction, Repositories, Transact } from '../../repositories/index.ts'
import type { AuditActor } from '../audit/audit-actor.ts'
import type { AuditLog } from '../audit/audit-log.ts'
import { type PasswordProof, wrongCredentials } from './authority.ts'

export type BegunSession = Omit<NewSession, 'userId'>
type Needed = 'auditEvents' | 'authority' | 'sessions'

type Deps<Names extends keyof InTransaction> = {
  transact: Transact<Names | Needed>
  audit: Pick<AuditLog, 'record'>
}

/**
 * Begins a session of the user's in one transaction with the check that allows it. Until it ends,
 * no other session of the user begins, and no transaction ends all of them. The audit log has it.
 *
 * @param actor of the event; the new session acts itself where it begins by a password.
 * @param authorize checks the authority, by locks that hold until the transaction ends, and throws
 *   when there is none. It returns the session, or the id of a live one that serves instead.
 * @returns the session's id.
 * @throws AppError forbidden while the user is suspended, and what `authorize` throws.
 */
export async function beginSession<Names extends keyof InTransaction>(
  { transact, audit }: Deps<Names>,
  userId: string,
  actor: Omit<AuditActor, 'kind' | 'userId'>,
  authorize: (repositories: Pick<InTransaction, Names | Needed>) => Promise<BegunSession | string>,
): Promise<string> {
  return transact(async (repositories) => {
    await repositories.authority.lockEntrance(userId)
    if (await repositories.authority.isSuspended(userId)) throw suspended()
    const session = await authorize(repositories)
    if (typeof session === 'string') return session
    await repositories.sessions.insert({ ...session, userId })
    await audit.record(repositories, {
      action: 'session.begun',
      actor: { ...actor, kind: 'user', userId, sessionId: actor.sessionId ?? session.id },
      target: { kind: 'session', id: session.id },
      detail: {
        kind: session.kind ?? 'password',
        scopes: session.scopes?.join(' ') ?? null,
        ...(session.purses && { purses: session.purses.join(' ') }),
      },
    })
    return session.id
  })
}

const suspended = () =>
  new AppError('forbidden', 'This account is suspended. Ask an admin of this gateway.')

/**
 * The authority of a password that was just checked.
 *
 * @throws AppError invalid_credentials when it was changed since.
 */
export async function holdPassword(
  { users }: Pick<Repositories, 'users'>,
  { userId, passwordHash }: PasswordProof,
): Promise<void> {
  if (!(await users.holdPassword(userId, passwordHash))) throw wrongCredentials()
}
