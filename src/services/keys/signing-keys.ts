import { generateSigningKey, type SigningKey } from '../../crypto/tokens.ts'
import type {
  NewSigningKey,
  SigningKeyRepository,
  StoredSigningKey,
} from '../../repositories/keys/signing-keys.ts'
import { type KeyTerm, termsOf } from './signing-key-terms.ts'
import type { Vault } from './vault.ts'

type Deps = {
  repository: SigningKeyRepository
  vault: Vault
  /** Longest lifetime of a token, for which an old key is still needed. */
  longestTokenSeconds: number
}

/** With private keys. The first of `all` is the signer. */
export type CurrentKeys = { signer: SigningKey; all: readonly SigningKey[] }

const RELOAD_MS = 5000

/** Reads the stored keys; creates one if there is none yet. */
export async function openSigningKeys(deps: Deps): Promise<SigningKeys> {
  const keys = await read(deps, [])
  return new SigningKeys(deps, keys)
}

/** The keys that sign and verify access tokens, kept current during rotation. */
export class SigningKeys {
  readonly #deps: Deps
  readonly #listeners: ((keys: CurrentKeys) => void)[] = []
  #current: CurrentKeys
  #nextReadAt = 0

  constructor(deps: Deps, current: CurrentKeys) {
    this.#deps = deps
    this.#current = current
  }

  get current(): CurrentKeys {
    return this.#current
  }

  /** Called after every change of the signer or of the set. */
  onChange(listener: (keys: CurrentKeys) => void): void {
    this.#listeners.push(listener)
  }

  /** Reads the keys again when due; a failed read is retried in the next round. */
  async runRound(): Promise<void> {
    if (performance.now() < this.#nextReadAt) return
    await this.reload()
    this.#nextReadAt = performance.now() + RELOAD_MS
  }

  /** A deleted key stops verifying here; a key that is no longer needed is deleted. */
  async reload(): Promise<void> {
    const before = this.#current
    const now = await read(this.#deps, before.all)
    if (kidsOf(now) === kidsOf(before)) return
    this.#current = now
    for (const listener of this.#listeners) listener(now)
  }

  /** Newest first. */
  async list(): Promise<KeyTerm[]> {
    return termsOf(await this.#deps.repository.list(), this.#deps.longestTokenSeconds)
  }

  /**
   * Makes a new key. `dropOld` deletes the others at once, which invalidates all their tokens.
   *
   * @returns the new key's id.
   */
  async rotate({ dropOld }: { dropOld: boolean }): Promise<string> {
    const { repository, vault } = this.#deps
    const key = await newKey(vault)
    await (dropOld ? repository.replaceAll(key) : repository.insert(key))
    await this.reload()
    return key.kid
  }
}

async function read(deps: Deps, known: readonly SigningKey[]): Promise<CurrentKeys> {
  const { repository, vault, longestTokenSeconds } = deps
  const stored = await repository.list()
  if (stored.length === 0) {
    await repository.insertFirst(await newKey(vault))
    return read(deps, known)
  }
  const terms = termsOf(stored, longestTokenSeconds)
  const over = terms.filter(({ state }) => state === 'over').map(({ kid }) => kid)
  if (over.length > 0) await repository.delete(over)
  const keys = stored
    .filter(({ kid }) => !over.includes(kid))
    .map((row) => known.find(({ kid }) => kid === row.kid) ?? open(row, vault))
  return signerFirst(keys, terms.find(({ state }) => state === 'signing')?.kid)
}

function signerFirst(keys: readonly SigningKey[], kid: string | undefined): CurrentKeys {
  const signer = keys.find((key) => key.kid === kid)
  if (!signer) throw new Error('There is no key to sign access tokens with.')
  return { signer, all: [signer, ...keys.filter((key) => key !== signer)] }
}

async function newKey(vault: Vault): Promise<NewSigningKey> {
  const { kid, publicJwk, privateJwk } = await generateSigningKey()
  return { kid, publicJwk: { ...publicJwk }, sealed: vault.sealSigningKey(kid, privateJwk) }
}

const open = ({ kid, publicJwk, sealed }: StoredSigningKey, vault: Vault): SigningKey => ({
  kid,
  publicJwk,
  privateJwk: vault.openSigningKey(kid, sealed),
})

const kidsOf = ({ all }: CurrentKeys) => all.map(({ kid }) => kid).join()
