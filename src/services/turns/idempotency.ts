/** Idempotency: one key, one call to Claude. Recognises a repeated call, and answers it. */

import { AppError, isErrorCode } from '../../errors.ts'
import type { Repositories } from '../../repositories/index.ts'
import { reachOf } from '../access/authority.ts'
import type { Caller } from '../access/caller.ts'
import type { UserVault } from '../keys/vault.ts'
import type { AnswerService } from './answers/follow-answer.ts'
import type { SendReceipt, SendResult } from './receipt.ts'
import type { FollowOptions, IdempotencyMarks, SendInput } from './turn.ts'

type Deps = {
  repositories: Pick<Repositories, 'answers'>
  answers: AnswerService
}

/**
 * The hashes stored for a call's idempotency key; undefined for a call without one. A session that
 * reads only what it began has a separate key space.
 */
export function toMarks(
  vault: UserVault,
  caller: Caller,
  input: SendInput,
): IdempotencyMarks | undefined {
  const { idempotencyKey, confirmCost: _, ...call } = input
  if (idempotencyKey === undefined) return undefined
  const given = Object.entries(call).filter(([, value]) => value !== undefined)
  const ofUser = vault.idempotencyHash(idempotencyKey)
  const own = vault.idempotencyHash(idempotencyKey, caller.sessionId)
  return {
    hash: reachOf(caller).readsAll ? ofUser : own,
    fingerprint: vault.requestFingerprint(JSON.stringify(given.sort())),
    known: { own, ofUser },
  }
}

/** Finds the answer of a key that was already used. */
export class IdempotencyService {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /**
   * The stored result of the key's first call or, while that is still running, its state after the
   * wait; undefined when the key is new.
   *
   * @throws AppError unauthenticated; idempotency_conflict for other arguments; cancelled,
   *   interrupted or the first call's own code when it ended without an answer but was billed.
   */
  async find(
    caller: Caller,
    marks: IdempotencyMarks,
    options: FollowOptions,
  ): Promise<SendResult | undefined> {
    const { answers } = this.#deps.repositories
    const first = await answers.findByIdempotencyHash(reachOf(caller), marks.known)
    if (!first) return undefined
    if (!first.requestFingerprint?.equals(marks.fingerprint)) throw otherArguments()
    if (first.status === 'running') await answers.putJoined(first.id, caller.userId)
    const { errorCode, ...view } = await this.#deps.answers.get(caller, first.id, options)
    if (!['complete', 'refused', 'running'].includes(view.status)) throw ended(view, errorCode)
    return { ...view, replayed: true }
  }
}

const otherArguments = () =>
  new AppError(
    'idempotency_conflict',
    'This idempotency_key was used with other arguments. Use a new key for a new message.',
    {
      onPages:
        'This form was sent before, with other words or choices. Open the page again, and send it there.',
      details: { field: 'idempotency_key' },
    },
  )

function ended(view: SendReceipt, errorCode: string | null) {
  return new AppError(
    isErrorCode(errorCode) ? errorCode : 'interrupted',
    `The first call with this idempotency_key ended as ${view.status} and may have been billed. get_message shows what there is; use a new key to send again.`,
    {
      onPages: `This form was sent before. That answer ended as ${view.status} and may have been billed: /account/conversations/${view.conversationId} shows what there is.`,
      retryable: false,
      details: { conversation_id: view.conversationId, message_id: view.messageId },
    },
  )
}
