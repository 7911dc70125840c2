import { newId, newToken } from '../../crypto/random.ts'
import { AppError } from '../../errors.ts'
import type { Transact } from '../../repositories/index.ts'
import { holdSession } from './authority.ts'
import type { Caller } from './caller.ts'
import { checked, TokenName, wrongField } from './field-rules.ts'
import { requireScopes, type Scope } from './scopes.ts'
import { hashOf, PERSONAL_TOKEN_PREFIX } from './sessions.ts'

type Deps = { transact: Transact }

export type NewPersonalToken = { name: string; scopes: readonly Scope[]; expiresAt: Date }

export const MAX_PERSONAL_TOKENS = 50
const MAX_PERSONAL_TOKEN_DAYS = 366

const DAY_MS = 86_400_000

/** Tokens for agents and scripts, which cannot use a sign-in page. */
export class PersonalTokens {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /**
   * @returns the token, which is not stored and cannot be shown again, and the id of its session.
   * @throws AppError insufficient_scope unless the caller may change the account and has every
   *   scope the token is to have; unauthenticated when the caller's session has ended since the
   *   request came; proof_required; invalid_input, also for the name of a token that is live.
   */
  async create(caller: Caller, wanted: NewPersonalToken): Promise<{ token: string; id: string }> {
    requireScopes(caller.scopes, ['account', ...wanted.scopes])
    const name = checked(TokenName, wanted.name, 'name')
    const scopes = checkScopes(wanted.scopes)
    const expiresAt = checkExpiry(wanted.expiresAt, Date.now())
    const token = newToken(PERSONAL_TOKEN_PREFIX)
    const id = newId()
    await this.#deps.transact(async ({ authority, sessions }) => {
      // Concurrent calls run one after the other, so the second one counts the first.
      await authority.lockEntrance(caller.userId)
      await holdSession({ authority }, caller, ['account', ...scopes], { mustBeProven: true })
      const names = await sessions.listPersonalNames(caller.userId)
      if (names.length >= MAX_PERSONAL_TOKENS) throw tooMany()
      if (names.includes(name)) throw nameTaken()
      const { userId } = caller
      const tokenHash = hashOf(token)
      await sessions.insert({ id, userId, kind: 'personal', name, scopes, tokenHash, expiresAt })
    })
    return { token, id }
  }
}

function checkScopes(scopes: readonly Scope[]): Scope[] {
  if (scopes.length === 0) throw wrongField('scopes', 'must name at least one')
  return [...new Set(scopes)]
}

function checkExpiry(expiresAt: Date, now: number): Date {
  const inMs = expiresAt.getTime() - now
  if (inMs > 0 && inMs <= MAX_PERSONAL_TOKEN_DAYS * DAY_MS) return expiresAt
  throw wrongField('expires_at', `must be within the next ${MAX_PERSONAL_TOKEN_DAYS} days`)
}

const nameTaken = () =>
  new AppError(
    'invalid_input',
    'You have a token by this name. Choose another name, or end that one first.',
    { details: { field: 'name' } },
  )

const tooMany = () =>
  new AppError(
    'invalid_input',
    `You have ${MAX_PERSONAL_TOKENS} personal access tokens, which is the most. Revoke one first.`,
  )
