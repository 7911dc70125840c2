/**
 * Sends that begin before their session is looked up, since all that they need is remembered
 * (send-memory.ts). The statement that begins the turn checks the session, its permission, what is
 * remembered and the limit of requests. Unless all of it holds, nothing has happened, and the request
 * takes the usual way, which says why.
 */

import type { SessionService, UserCounters } from '../../access/sessions.ts'
import { choosePayer } from '../../billing/teams/payer-choice.ts'
import { teamRef } from '../../teams/team-name.ts'
import type { MessageService } from '../send-message.ts'
import type { SendInput } from '../turn.ts'
import type { EarlySend, Recalled } from './early-turn.ts'
import type { SendMemory } from './send-memory.ts'

type Deps = {
  sessions: Pick<SessionService, 'callerOf' | 'recognise'>
  messages: Pick<MessageService, 'startRemembered'>
  memory: SendMemory
  /** Null: where requests are not counted in the database, no send begins early. */
  userCounters: UserCounters | null
}

export class EarlySends {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /**
   * @param mayStart whether the user may have another call.
   * @returns undefined when nothing has begun.
   */
  async start(
    token: string,
    input: SendInput,
    mayStart: (userId: string) => boolean,
  ): Promise<EarlySend | undefined> {
    const counter = this.#deps.userCounters?.requests
    if (!counter || !isPlain(input)) return undefined
    const { messages, memory } = this.#deps
    const recalled = await this.#recall(token, input).catch(() => undefined)
    if (!recalled || !mayStart(recalled.caller.userId)) return undefined
    const begun = await messages.startRemembered(recalled, input, counter)
    if (typeof begun !== 'string') return begun
    // What has ended, is too much or changes elsewhere must not cost two statements each time.
    memory.noteStale(recalled.proof, begun === 'conversation_stale' && input.conversationId)
    return undefined
  }

  /** @throws AppError where the payer does not work: the usual way says so. */
  async #recall(
    token: string,
    { conversationId, payWith }: SendInput,
  ): Promise<Recalled | undefined> {
    const { sessions, memory } = this.#deps
    const named = await sessions.recognise(token)
    const found = memory.findSender(named.proof)
    const caller = found && sessions.callerOf(found.session, named)
    if (!found || !caller?.scopes.includes('messages:send')) return undefined
    const kept = conversationId && memory.findConversation(conversationId, caller.userId)
    if (conversationId !== undefined && !kept) return undefined
    const { conversation, version = null } = kept || NEW_CONVERSATION
    const payer = choosePayer(payWith, conversation, false)
    const purse =
      payer.team === null ? undefined : memory.findPurse(named.proof, teamRef(payer.team))
    if (payer.team !== null && !purse) return undefined
    const versions = { sender: found.version, conversation: version }
    const context = { ...found.sender, versions, conversation, purse }
    return { proof: named.proof, caller, context, payer }
  }
}

const NEW_CONVERSATION = { conversation: undefined, version: null }

/** Others read more: a repeat, another version of a message. */
const isPlain = ({ idempotencyKey, editMessageId }: SendInput) =>
  idempotencyKey === undefined && editMessageId === undefined
