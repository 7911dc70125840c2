import { newId, newToken } from '../../crypto/random.ts'
import { AppError } from '../../errors.ts'
import type { Transact } from '../../repositories/index.ts'
import type { AuditLog } from '../audit/audit-log.ts'
import { actorOf } from './actor.ts'
import { holdSession } from './authority.ts'
import { beginSession } from './begin-session.ts'
import type { Caller } from './caller.ts'
import { AllowedModels, checked, TokenName, wrongField } from './field-rules.ts'
import { requireScopes, type Scope } from './scopes.ts'
import { hashOf, PERSONAL_TOKEN_PREFIX } from './sessions.ts'

type Deps = {
  transact: Transact<'auditEvents' | 'authority' | 'sessions'>
  audit: Pick<AuditLog, 'record'>
}

export type NewPersonalToken = {
  name: string
  scopes: readonly Scope[]
  expiresAt: Date
  /** The most it may spend a month (UTC), fixed for its life; null: no limit of its own. */
  limitNanoUsd?: bigint | null
  /** What it may name at the Messages API; null: every model. */
  allowedModels?: readonly string[] | null
  /**
   * Ids of the teams whose money it may spend; left out: none. One at most with `messages:api`: it
   * pays for all calls of the Messages API.
   */
  purses?: readonly string[]
}

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
    const terms = termsOf(wanted)
    if (scopes.includes('messages:api') && terms.purses.length > 1) throw severalPayers()
    const token = newToken(PERSONAL_TOKEN_PREFIX)
    const id = newId()
    // Concurrent calls run one after the other, so the second one counts the first.
    const actor = actorOf(caller)
    await beginSession(this.#deps, caller.userId, actor, async ({ authority, sessions }) => {
      await holdSession({ authority }, caller, ['account', ...scopes], { mustBeProven: true })
      const names = await sessions.listPersonalNames(caller.userId)
      if (names.length >= MAX_PERSONAL_TOKENS) throw tooMany()
      if (names.includes(name)) throw nameTaken()
      const owned = { id, kind: 'personal' as const, name, tokenHash: hashOf(token) }
      return { ...owned, scopes, expiresAt, ...terms }
    })
    return { token, id }
  }
}

/** An empty list of models would be a token for nothing. */
function termsOf({ limitNanoUsd = null, allowedModels, purses = [] }: NewPersonalToken) {
  const models = [...new Set(allowedModels ?? [])]
  const checkedModels = checked(AllowedModels, models, 'allowed_models')
  return {
    limitNanoUsd,
    purses: [...new Set(purses)],
    allowedModels: checkedModels.length === 0 ? null : checkedModels,
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

/** A call of the Messages API names no payer, so the token has to. */
const severalPayers = () =>
  wrongField(
    'purses',
    'may have one team at most in a token for the Messages API, which it pays for',
  )

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
