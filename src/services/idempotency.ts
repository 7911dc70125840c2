/** One idempotency key, one call to Claude: recognising a repeat, and answering it. */

import { AppError } from '../errors.ts'
import type { Repositories } from '../repositories/index.ts'
import type { SendInput, SendResult } from './messages.ts'
import { fromStored, type StoredReceipt } from './turn-end.ts'
import type { IdempotencyMarks } from './turns.ts'
import { textOf, type UserVault, type Vault } from './vault.ts'

type Deps = { repositories: Pick<Repositories, 'messages'>; vault: Vault }

/** What may be stored of a call's key; undefined for a call without one. */
export function toMarks(vault: UserVault, input: SendInput): IdempotencyMarks | undefined {
  const { idempotencyKey, ...call } = input
  if (idempotencyKey === undefined) return undefined
  const given = Object.entries(call).filter(([, value]) => value !== undefined)
  return {
    hash: vault.idempotencyHash(idempotencyKey),
    fingerprint: vault.requestFingerprint(JSON.stringify(given.sort())),
    stopSequences: input.stopSequences ?? [],
  }
}

export class Replays {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /**
   * What a key already stands for; undefined when it is new.
   *
   * @throws AppError idempotency_conflict for other arguments, conversation_busy while the first
   *   call runs, cancelled or interrupted when it ended without an answer but was billed.
   */
  async find(userId: string, marks: IdempotencyMarks): Promise<SendResult | undefined> {
    const first = await this.#deps.repositories.messages.findByIdempotencyHash(userId, marks.hash)
    if (!first) return undefined
    if (!first.requestFingerprint?.equals(marks.fingerprint)) throw otherArguments()
    if (first.status === 'running') throw firstCallRunning()
    if (first.result === null) throw firstCallEnded(first)
    const vault = this.#deps.vault.openConversation({ ...first, id: first.conversationId })
    const content = first.content === null ? '' : textOf(vault.openContent(first.id, first.content))
    const receipt = fromStored(first.result as StoredReceipt, marks.stopSequences)
    return { ...receipt, content, replayed: true }
  }
}

const otherArguments = () =>
  new AppError(
    'idempotency_conflict',
    'This idempotency_key was used with other arguments. Use a new key for a new message.',
    { details: { field: 'idempotency_key' } },
  )

const firstCallRunning = () =>
  new AppError(
    'conversation_busy',
    'The first call with this idempotency_key is still running. Repeat it for the result.',
    { retryAfterSeconds: 2 },
  )

function firstCallEnded(first: { id: string; conversationId: string; status: string }) {
  return new AppError(
    first.status === 'cancelled' ? 'cancelled' : 'interrupted',
    `The first call with this idempotency_key ended as ${first.status} and may have been billed. Use a new key to send again.`,
    { retryable: false, details: { conversation_id: first.conversationId, message_id: first.id } },
  )
}
