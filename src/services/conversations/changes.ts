import type {
  ConversationChange,
  LockedConversation,
} from '../../repositories/conversations/conversation-changes.ts'
import type { InTransaction, Transact } from '../../repositories/index.ts'
import { isBlank } from '../../text/blank-text.ts'
import { holdSession, reachOf } from '../access/authority.ts'
import type { Caller } from '../access/caller.ts'
import { wrongField } from '../access/field-rules.ts'
import type { ConversationVault, Vault } from '../keys/vault.ts'
import { conversationNotFound } from './conversation-errors.ts'
import { paymentOf, type WantedPayment } from './payment.ts'
import { roleTooSmall } from './roles.ts'
import { storageFull } from './storage.ts'

type Deps = {
  transact: Transact<'authority' | 'conversationChanges' | 'storage' | 'teamPurses'>
  vault: Vault
  /** Per user; null: no limit. */
  maxStoredBytes: number | null
}

/** What is left out stays as it is. A blank system prompt counts as none. */
export type WantedChange = {
  title?: string | undefined
  systemPrompt?: string | null | undefined
  isArchived?: boolean | undefined
  /** Of a conversation of another: out of all lists and searches of the caller, until it is taken back. */
  isHidden?: boolean | undefined
  payment?: WantedPayment | undefined
}

/** Names, archives and instructs conversations. */
export class ConversationChanges {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /**
   * Changes a conversation of the caller's. One that is shared with them they can only archive or
   * hide, in their own lists.
   *
   * @throws AppError not_found; forbidden; storage_full; payer_required, invalid_input for who pays;
   *   unauthenticated, insufficient_scope.
   */
  async change(caller: Caller, conversationId: string, wanted: WantedChange): Promise<void> {
    await this.#deps.transact(async (repositories) => {
      await holdSession(repositories, caller, ['conversations:write'])
      const { conversationChanges } = repositories
      const found = await conversationChanges.lock(conversationId, reachOf(caller))
      if (found === undefined) throw conversationNotFound()
      const { isArchived, isHidden, ...ofOwner } = wanted
      if (found.role === 'owner') {
        if (isHidden !== undefined) throw notToHide()
        return this.#write(repositories, caller, found, wanted)
      }
      if (isSet(ofOwner)) throw roleTooSmall(found.role, 'owner')
      const marks = { isArchived, isHidden }
      if (isSet(marks)) await conversationChanges.mark(conversationId, caller.userId, marks)
    })
  }

  async #write(
    { conversationChanges, storage, teamPurses }: Writing,
    caller: Caller,
    found: LockedConversation,
    wanted: WantedChange,
  ): Promise<void> {
    const payment = await paymentOf({ teamPurses }, caller, found, wanted.payment)
    const change = { ...this.#sealed(found, wanted), ...payment }
    if (!isSet(change)) return
    await conversationChanges.update(found, change)
    const { maxStoredBytes } = this.#deps
    const isLarger = wanted.title !== undefined || wanted.systemPrompt != null
    if (maxStoredBytes === null || !isLarger) return
    if ((await storage.bytes(found.ownerId)) > maxStoredBytes) throw storageFull(maxStoredBytes)
  }

  #sealed(
    { ref }: LockedConversation,
    { title, systemPrompt, isArchived }: WantedChange,
  ): ConversationChange {
    const vault = this.#deps.vault.openConversation(ref)
    return {
      title: title === undefined ? undefined : vault.sealTitle(title),
      systemPrompt: sealedPrompt(vault, systemPrompt),
      isArchived,
    }
  }
}

type Writing = Pick<InTransaction, 'conversationChanges' | 'storage' | 'teamPurses'>

function sealedPrompt(vault: ConversationVault, text: string | null | undefined) {
  if (text === undefined) return undefined
  return text === null || isBlank(text) ? null : vault.sealSystemPrompt(text)
}

const notToHide = () =>
  wrongField('hidden', 'is for conversations that are shared with you: archive this one of yours', {
    onPages:
      'Only conversations that are shared with you can be hidden. Archive this one of yours.',
  })

const isSet = (change: object) => Object.values(change).some((value) => value !== undefined)
