/** The conversation that a turn is added to: a new one, or one of the user's. */

import { resolveModel } from '../claude/models.ts'
import { newId } from '../crypto/random.ts'
import { AppError } from '../errors.ts'
import type { Repositories } from '../repositories/index.ts'
import type { SendInput } from './messages.ts'
import { toTitle } from './title.ts'
import type { ResolvedModel } from './turn.ts'
import type { ConversationVault, Vault } from './vault.ts'

/** The conversation as the turn finds it: new, or taken from the database under its row's lock. */
export type OpenedConversation = {
  id: string
  vault: ConversationVault
  model: ResolvedModel
  systemPrompt: string | undefined
  position: number
  historyStart: number
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
   * Makes the conversation, or takes it, for the answer `answerId`; within the caller's transaction.
   *
   * @throws AppError not_found, conversation_busy or model_retired.
   */
  async open(
    repositories: Repositories,
    userId: string,
    answerId: string,
    input: SendInput,
  ): Promise<OpenedConversation> {
    const { conversationId } = input
    return conversationId === undefined
      ? this.#create(repositories, userId, answerId, input)
      : this.#continue(repositories, userId, answerId, input, conversationId)
  }

  async #create(
    { conversations }: Repositories,
    userId: string,
    answerId: string,
    input: SendInput,
  ): Promise<OpenedConversation> {
    const id = newId()
    const model = this.#resolve(input.model ?? this.#deps.defaultModel)
    const { wrapped: dataKey, vault } = this.#deps.vault.createConversationKey(id, userId)
    const systemPrompt = input.systemPrompt || undefined
    await conversations.insert({
      id,
      userId,
      dataKey,
      title: vault.sealTitle(toTitle(input.message)),
      systemPrompt: systemPrompt === undefined ? null : vault.sealSystemPrompt(systemPrompt),
      // The one asked for counts once it has answered: a mistyped one must not stick.
      model: this.#deps.defaultModel,
      runningMessageId: answerId,
    })
    return { id, vault, model, systemPrompt, position: 1, historyStart: 1 }
  }

  async #continue(
    { conversations }: Repositories,
    userId: string,
    answerId: string,
    input: SendInput,
    conversationId: string,
  ): Promise<OpenedConversation> {
    const taken = await conversations.take(conversationId, userId, answerId)
    const vault = this.#deps.vault.openConversation(taken)
    const model =
      input.model === undefined ? this.#resolveKept(taken.model) : this.#resolve(input.model)
    const kept = taken.systemPrompt === null ? '' : vault.openSystemPrompt(taken.systemPrompt)
    const systemPrompt = (input.systemPrompt ?? kept) || undefined
    if (input.systemPrompt !== undefined && input.systemPrompt !== kept) {
      const sealed = systemPrompt === undefined ? null : vault.sealSystemPrompt(systemPrompt)
      await conversations.updateSystemPrompt(conversationId, userId, sealed)
    }
    const { id, messageCount, historyStart } = taken
    return { id, vault, model, systemPrompt, position: messageCount + 1, historyStart }
  }

  #resolve(model: string): ResolvedModel {
    return resolveModel(model, this.#deps.retiredModels)
  }

  /** A conversation may outlive its model: then it goes on with the default, and says so. */
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
