import type { Repositories } from '../../repositories/index.ts'
import type { Caller } from '../access/caller.ts'
import type { Vault } from '../keys/vault.ts'
import { conversationNotFound } from './conversation-errors.ts'

type Deps = { repositories: Pick<Repositories, 'conversationHeads'>; vault: Vault }

/** A conversation without its messages. */
export type ConversationHead = Awaited<ReturnType<ConversationHeads['open']>>['head']

export class ConversationHeads {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /** @throws AppError not_found, also when the caller has no access to it. */
  async get(caller: Caller, id: string): Promise<ConversationHead> {
    return (await this.open(caller, id)).head
  }

  /** The same, and what opens its messages. */
  async open({ userId }: Caller, id: string) {
    const found = await this.#deps.repositories.conversationHeads.find(id, userId)
    if (found === undefined) throw conversationNotFound()
    const { ref, title, systemPrompt, ...head } = found
    const vault = this.#deps.vault.openConversation(ref)
    return {
      vault,
      head: {
        ...head,
        title: vault.openTitle(title),
        systemPrompt: systemPrompt && vault.openSystemPrompt(systemPrompt),
      },
    }
  }
}
