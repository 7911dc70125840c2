/** Copies conversations: a branch is a conversation of its own, sealed again under its own key. */

import { FairQueue } from '../../concurrency/fair-queue.ts'
import { mapInSlices } from '../../concurrency/slices.ts'
import { newId } from '../../crypto/random.ts'
import { AppError } from '../../errors.ts'
import type { Reach } from '../../repositories/access/reach.ts'
import type {
  BranchSource,
  BranchSourceRepository,
  CopiedMessage,
} from '../../repositories/conversations/branch-sources.ts'
import type {
  WholeConversation,
  WholeMessage,
  WholeMessages,
} from '../../repositories/conversations/conversation-writer.ts'
import type { Repositories, Transact } from '../../repositories/index.ts'
import { holdSession, reachOf } from '../access/authority.ts'
import type { Caller } from '../access/caller.ts'
import type { Scope } from '../access/scopes.ts'
import type { ConversationVault, Vault } from '../keys/vault.ts'
import { conversationBusy, conversationNotFound, notInConversation } from './conversation-errors.ts'
import { storageFull } from './storage.ts'

type Deps = {
  repositories: Pick<Repositories, 'branchSources' | 'conversationWriter'>
  transact: Transact<'authority' | 'branchSources' | 'conversationWriter'>
  vault: Vault
  /** Limits how many copies are made at once. */
  copies: FairQueue
  /** Per user; null: no limit. */
  maxStoredBytes: number | null
}

export type Branch = {
  conversationId: string
  messageCount: number
  branchedFrom: { conversationId: string; position: number }
}

type Wanted = {
  conversationId: string
  /** The last position to copy. */
  through: number
  /** False: in no list until an answer is delivered in it. */
  isListed: boolean
  needed: readonly Scope[]
}

/** Copying seals each message again: a few at a time, so that others are answered meanwhile. */
const COPIES_AT_ONCE = 2
const MAX_WAITING = 100
const RETRY_AFTER_SECONDS = 5

/** For every copy of a conversation that this process makes; one at a time of a user. */
export const createCopyQueue = () =>
  new FairQueue({
    concurrency: COPIES_AT_ONCE,
    concurrencyPerKey: 1,
    maxQueued: MAX_WAITING,
    refuse: tooManyCopies,
  })

export class Branching {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /**
   * A private copy for the caller, through the turn of a message, or of all turns that have ended.
   * Turns of which no text is kept are left out.
   *
   * @throws AppError not_found; conversation_busy when that turn is still running; storage_full;
   *   unauthenticated, insufficient_scope; overloaded.
   */
  async branch(
    caller: Caller,
    conversationId: string,
    throughMessageId: string | undefined,
  ): Promise<Branch> {
    const source = await this.#find(caller, conversationId)
    const through = await this.#endOf(caller, source, throughMessageId)
    const needed: readonly Scope[] = ['conversations:write']
    return this.#copy(caller, { conversationId, through, isListed: true, needed })
  }

  /**
   * A private copy of all before one of the user's messages, so that it can be sent otherwise. It
   * is in no list until an answer is delivered in it.
   *
   * @throws AppError as {@link branch}; invalid_input for an answer's id.
   */
  async branchBefore(caller: Caller, conversationId: string, messageId: string): Promise<Branch> {
    await this.#find(caller, conversationId)
    const position = await this.#position(caller, conversationId, messageId, 'edit_message_id')
    if (position % 2 === 0) throw notTheUsers()
    const needed: readonly Scope[] = ['messages:send']
    const wanted = { conversationId, through: position - 1, isListed: false, needed }
    return this.#copy(caller, wanted)
  }

  /** Deletes a branch in which no turn began. If that fails, it goes by itself in a day. */
  async discard({ userId }: Caller, conversationId: string): Promise<void> {
    await this.#deps.repositories.conversationWriter.discard(conversationId, userId).catch(() => {})
  }

  async #find(caller: Caller, conversationId: string): Promise<BranchSource> {
    const { branchSources } = this.#deps.repositories
    const source = await branchSources.find(conversationId, reachOf(caller))
    if (source === undefined) throw conversationNotFound()
    return source
  }

  async #endOf(caller: Caller, { ref, endedThrough }: BranchSource, messageId: string | undefined) {
    if (messageId === undefined) return endedThrough
    const position = await this.#position(caller, ref.id, messageId, 'through_message_id')
    const through = position + (position % 2)
    if (through > endedThrough) throw conversationBusy()
    return through
  }

  async #position(
    caller: Caller,
    conversationId: string,
    messageId: string,
    field: 'through_message_id' | 'edit_message_id',
  ) {
    const { branchSources } = this.#deps.repositories
    const reach = reachOf(caller)
    const position = await branchSources.findPosition(messageId, conversationId, reach)
    if (position === undefined) throw notInConversation(field)
    return position
  }

  #copy(caller: Caller, wanted: Wanted): Promise<Branch> {
    const { transact, copies } = this.#deps
    return copies.run(caller.userId, () =>
      transact(async (repositories) => {
        await holdSession(repositories, caller, wanted.needed)
        return this.#write(repositories, caller, wanted)
      }),
    )
  }

  async #write(
    { branchSources, conversationWriter }: Writing,
    caller: Caller,
    wanted: Wanted,
  ): Promise<Branch> {
    const { conversationId, through } = wanted
    const reach = reachOf(caller)
    const source = await branchSources.find(conversationId, reach)
    if (source === undefined) throw conversationNotFound()
    const { vault, conversation } = this.#begin(caller, source, wanted)
    const messages = this.#messages({ branchSources, reach, source, vault }, through, caller.userId)
    const limitBytes = this.#deps.maxStoredBytes
    const written = await conversationWriter.write(conversation, messages, { through, limitBytes })
    if (written === undefined) throw storageFull(limitBytes)
    // What was read may have been deleted, or its access ended, between two pages.
    if (!(await branchSources.find(conversationId, reach))) throw conversationNotFound()
    return {
      conversationId: conversation.id,
      messageCount: written.messages,
      branchedFrom: { conversationId, position: through },
    }
  }

  #begin({ userId, sessionId }: Caller, source: BranchSource, { through, isListed }: Wanted) {
    const id = newId()
    const opened = this.#deps.vault.openConversation(source.ref)
    const { wrapped: dataKey, vault } = this.#deps.vault.createConversationKey(id, userId)
    const prompt = source.systemPrompt
    const isCut = source.historyStart <= through
    const conversation: WholeConversation = {
      id,
      userId,
      sessionId,
      dataKey,
      title: vault.sealTitle(opened.openTitle(source.title)),
      titleBy: source.titleBy,
      systemPrompt: prompt && vault.sealSystemPrompt(opened.openSystemPrompt(prompt)),
      model: source.model,
      // What goes to Claude begins where it did, so that its prompt cache still holds it.
      historyStart: isCut ? source.historyStart : 1,
      historyOmitted: isCut ? source.historyOmitted : 0,
      branched: { from: source.ref.id, atPosition: through },
      payment: source.payment,
      isListed,
    }
    return { vault, conversation }
  }

  async *#messages(reading: Reading, through: number, ownerId: string): WholeMessages {
    const opened = this.#deps.vault.openConversation(reading.source.ref)
    const { branchSources, reach, source, vault } = reading
    let after = 0
    for (;;) {
      const page = await branchSources.page(source.ref.id, reach, { after, through })
      const last = page.at(-1)
      if (last === undefined) return
      after = last.position
      yield await mapInSlices(page, bytesOf, (row) => resealed(row, opened, vault, ownerId))
    }
  }
}

type Writing = Pick<Repositories, 'branchSources' | 'conversationWriter'>

type Reading = {
  branchSources: BranchSourceRepository
  reach: Reach
  source: BranchSource
  vault: ConversationVault
}

const bytesOf = ({ content }: CopiedMessage) => (content?.length ?? 0) * 2

function resealed(
  { senderId, content, stopSequence, ...row }: CopiedMessage,
  from: ConversationVault,
  to: ConversationVault,
  ownerId: string,
): WholeMessage {
  const id = newId()
  return {
    ...row,
    id,
    content: content && to.sealContent(id, from.openContent(row.id, content)),
    stopSequence:
      stopSequence && to.sealStopSequence(id, from.openStopSequence(row.id, stopSequence)),
    senderId: senderId === ownerId ? null : senderId,
  }
}

const notTheUsers = () =>
  new AppError(
    'invalid_input',
    'edit_message_id must be the id of a message that a person sent, not of an answer. To have Claude answer again, give the id of the message before it.',
    {
      onPages:
        'Only a message that a person sent can be edited, not an answer. To have Claude answer again, use “Answer again” beside the message before it.',
      details: { fields: ['edit_message_id'] },
    },
  )

const tooManyCopies = () =>
  new AppError('overloaded', 'Too many conversations are being copied. Try again shortly.', {
    retryAfterSeconds: RETRY_AFTER_SECONDS,
  })
