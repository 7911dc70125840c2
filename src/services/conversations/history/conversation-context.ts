/** Opens the conversation that a turn is added to: a new one, or one of the user's. */

import { type ResolvedModel, resolveModel } from '../../../claude/models.ts'
import { newId } from '../../../crypto/random.ts'
import { AppError } from '../../../errors.ts'
import type { ConversationRole } from '../../../repositories/access/conversation-access.ts'
import type { SendableConversation } from '../../../repositories/turns/load-turn-context.ts'
import type { NewTurn } from '../../../repositories/turns/start-turns.ts'
import { isBlank } from '../../../text/blank-text.ts'
import type { ConversationVault, Vault } from '../../keys/vault.ts'
import { conversationBusy, conversationNotFound } from '../conversation-errors.ts'
import { roleTooSmall } from '../roles.ts'
import { toTitle } from '../title.ts'

/** The caller's input that concerns the conversation. */
export type ConversationInput = {
  message: string
  conversationId?: string | undefined
  /** The conversation is a branch, made for another version of this message. */
  editMessageId?: string | undefined
  model?: string | undefined
  systemPrompt?: string | undefined
}

/** The conversation at the start of the turn: new, or read from the database. */
export type OpenedConversation = {
  id: string
  /** The sender's. */
  role: ConversationRole
  /** Whether the sender pays for its history for the first time. */
  isFirstSend: boolean
  vault: ConversationVault
  model: ResolvedModel
  systemPrompt: string | undefined
  /** What has to be stored besides the turn. */
  changes: Pick<NewTurn, 'opening' | 'title'>
  /** The system prompt to store once the turn is delivered; undefined: unchanged. */
  newSystemPrompt: string | null | undefined
  messageCount: number
  historyStart: number
  historyOmitted: number
  history: SendableConversation['history']
}

type Deps = {
  vault: Vault
  defaultModel: string
  retiredModels: 'refuse' | 'map'
}

export class ConversationOpening {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /**
   * @param found the user's conversation that the input names, if it exists.
   * @throws AppError not_found, forbidden, conversation_busy or model_retired.
   */
  open(
    userId: string,
    input: ConversationInput,
    found: SendableConversation | undefined,
  ): OpenedConversation {
    if (input.conversationId === undefined) return this.#create(userId, input)
    if (found === undefined) throw conversationNotFound()
    requireContributor(found, input)
    if (found.runningMessageId !== null) throw conversationBusy()
    return this.#continue(input, found)
  }

  #create(userId: string, input: ConversationInput): OpenedConversation {
    const id = newId()
    const { wrapped: dataKey, vault } = this.#deps.vault.createConversationKey(id, userId)
    const systemPrompt = readable(input.systemPrompt)
    return {
      id,
      role: 'owner',
      isFirstSend: false,
      vault,
      model: this.#resolve(input.model ?? this.#deps.defaultModel),
      systemPrompt,
      changes: {
        // The requested model is stored once it has answered: a mistyped one must not stick.
        opening: { dataKey, model: this.#deps.defaultModel },
        title: vault.sealTitle(toTitle(input.message)),
      },
      newSystemPrompt: systemPrompt,
      messageCount: 0,
      historyStart: 1,
      historyOmitted: 0,
      history: { messages: [], isWhole: true },
    }
  }

  #continue(input: ConversationInput, found: SendableConversation): OpenedConversation {
    const vault = this.#deps.vault.openConversation(found.ref)
    const stored = found.systemPrompt && vault.openSystemPrompt(found.systemPrompt)
    const kept = readable(stored ?? undefined)
    const systemPrompt = input.systemPrompt === undefined ? kept : readable(input.systemPrompt)
    const { messageCount, historyStart, historyOmitted, history } = found
    return {
      id: found.ref.id,
      role: found.role,
      isFirstSend: found.hasSent === false,
      vault,
      model:
        input.model === undefined ? this.#resolveKept(found.model) : this.#resolve(input.model),
      systemPrompt,
      changes: {
        opening: null,
        title: keepsTitle(found, input) ? null : vault.sealTitle(toTitle(input.message)),
      },
      newSystemPrompt: systemPrompt === kept ? undefined : (systemPrompt ?? null),
      messageCount,
      historyStart,
      historyOmitted,
      history,
    }
  }

  #resolve(model: string): ResolvedModel {
    return resolveModel(model, this.#deps.retiredModels)
  }

  /** When the conversation's model was retired, falls back to the default with a warning. */
  #resolveKept(model: string): ResolvedModel {
    try {
      return this.#resolve(model)
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'model_retired') throw error
      const fallback = this.#resolve(this.#deps.defaultModel)
      const warning = `${model}, this conversation's model, was retired; ${fallback.id} answered.`
      return { ...fallback, warnings: [warning, ...fallback.warnings] }
    }
  }
}

/** A branch has its origin's, which is not the edited message's unless that was the first. */
const keepsTitle = (
  { isListed, messageCount }: SendableConversation,
  { editMessageId }: ConversationInput,
) => isListed || (editMessageId !== undefined && messageCount > 0)

/** Before anything else about the conversation is told. */
function requireContributor({ role }: SendableConversation, { systemPrompt }: ConversationInput) {
  if (role === 'viewer') throw roleTooSmall(role, 'contributor')
  if (role === 'contributor' && systemPrompt !== undefined) {
    throw roleTooSmall(role, 'owner', 'system_prompt')
  }
}

/** Treats a blank system prompt as none: Anthropic would refuse it. */
const readable = (text: string | undefined) =>
  text === undefined || isBlank(text) ? undefined : text
