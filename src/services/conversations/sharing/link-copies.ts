/** Copies of what links show: a visitor goes on in a conversation of their own, and pays for it. */

import { estimateTokens } from '../../../claude/prices/tokens.ts'
import type { FairQueue } from '../../../concurrency/fair-queue.ts'
import { mapInSlices } from '../../../concurrency/slices.ts'
import { newId } from '../../../crypto/random.ts'
import type {
  WholeConversation,
  WholeMessage,
  WholeMessages,
} from '../../../repositories/conversations/conversation-writer.ts'
import type {
  LinkVisit,
  Snapshot,
  SnapshotMessage,
} from '../../../repositories/conversations/sharing/snapshots.ts'
import type { InTransaction, Transact } from '../../../repositories/index.ts'
import { holdSession } from '../../access/authority.ts'
import type { Caller } from '../../access/caller.ts'
import { type ConversationVault, textOf, type Vault } from '../../keys/vault.ts'
import { storageFull } from '../storage.ts'
import { toTitle } from '../title.ts'
import { linkNotFound } from './share-errors.ts'
import type { Snapshots } from './snapshots.ts'

type Writing = Pick<InTransaction, 'conversationWriter' | 'snapshots'>

type Deps = {
  transact: Transact<'authority' | 'conversationWriter' | 'snapshots'>
  vault: Vault
  snapshots: Pick<Snapshots, 'visitOf'>
  /** Limits how many copies are made at once. */
  copies: FairQueue
  /** Per user; null: no limit. */
  maxStoredBytes: number | null
}

const PAGE_MESSAGES = 500
const PAGE_BYTES = 1024 * 1024

/** The sender of messages whose authors the link does not name: no user has this id. */
const UNNAMED = '00000000-0000-0000-0000-000000000000'

export class LinkCopies {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /**
   * Makes a private conversation of the caller's from what a link shows them. It has the text and
   * nothing else: neither system prompt nor title, authors, times or costs.
   *
   * @returns its id.
   * @throws AppError not_found when the link does not work for the caller; storage_full;
   *   unauthenticated, insufficient_scope; overloaded.
   */
  async make(caller: Caller, secret: string): Promise<string> {
    const { transact, copies, snapshots } = this.#deps
    const visit = snapshots.visitOf(secret, caller)
    return copies.run(caller.userId, () =>
      transact(async (repositories) => {
        await holdSession(repositories, caller, ['conversations:write'])
        return this.#write(repositories, caller, visit)
      }),
    )
  }

  async #write(
    { conversationWriter, snapshots }: Writing,
    { userId, sessionId }: Caller,
    visit: LinkVisit,
  ): Promise<string> {
    const found = await snapshots.find(visit)
    if (found === undefined) throw linkNotFound()
    const id = newId()
    const { wrapped: dataKey, vault } = this.#deps.vault.createConversationKey(id, userId)
    const copying = { snapshots, visit, found, from: this.#deps.vault.openConversation(found.ref) }
    const conversation: WholeConversation = {
      id,
      userId,
      sessionId,
      dataKey,
      title: vault.sealTitle(await titleOf(copying)),
      titleBy: null,
      systemPrompt: null,
      model: found.model,
      branched: { from: found.ref.id, atPosition: found.throughPosition, byLink: true },
    }
    const limitBytes = this.#deps.maxStoredBytes
    const written = await conversationWriter.write(conversation, resealed(copying, vault), {
      through: found.throughPosition,
      limitBytes,
    })
    if (written === undefined) throw storageFull(limitBytes)
    // The link may have ended between two pages.
    if ((await snapshots.find(visit)) === undefined) throw linkNotFound()
    return id
  }
}

type Copying = {
  snapshots: InTransaction['snapshots']
  visit: LinkVisit
  found: Snapshot
  from: ConversationVault
}

async function titleOf({ snapshots, visit, from }: Copying): Promise<string> {
  const { messages } = await snapshots.page(visit, { after: 0, limit: 1, maxBytes: PAGE_BYTES })
  const [first] = messages
  return toTitle(first === undefined ? '' : textIn(first, from))
}

async function* resealed(copying: Copying, to: ConversationVault): WholeMessages {
  const { snapshots, visit, from } = copying
  const copiedAt = new Date()
  for (let after = 0; ; ) {
    const range = { after, limit: PAGE_MESSAGES, maxBytes: PAGE_BYTES }
    const { messages: page } = await snapshots.page(visit, range)
    const last = page.at(-1)
    if (last === undefined) return
    after = last.position
    const bytesOf = ({ content }: SnapshotMessage) => (content?.length ?? 0) * 2
    yield await mapInSlices(page, bytesOf, (row) => copyOf(row, textIn(row, from), to, copiedAt))
  }
}

function copyOf(
  { position, role, status, model }: SnapshotMessage,
  text: string,
  to: ConversationVault,
  copiedAt: Date,
): WholeMessage {
  const id = newId()
  return {
    id,
    position,
    role,
    status,
    content: text === '' ? null : to.sealContent(id, [{ type: 'text', text }]),
    model,
    tokenCount: estimateTokens(text),
    createdAt: copiedAt,
    finishedAt: copiedAt,
    senderId: UNNAMED,
  }
}

const textIn = ({ id, content }: SnapshotMessage, from: ConversationVault) =>
  content === null ? '' : textOf(from.openContent(id, content))
