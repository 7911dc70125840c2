/**
 * Remembers what this process last read or wrote of senders and of their conversations, so that a
 * send can begin without a statement that reads. The statement that begins it compares the versions
 * (start-turns.ts): what others have changed meanwhile makes a memory stale, never wrong.
 *
 * Everything stays sealed as in the tables: no key and no text is opened here. Bounded by bytes; what
 * was used least recently goes first.
 */

import { LRUCache } from 'lru-cache'
import type { ConversationRef } from '../../../repositories/access/conversation-ref.ts'
import {
  type LiveSession,
  type SessionProof,
  sessionKeyOf,
} from '../../../repositories/access/session-checks.ts'
import type { SenderContext } from '../../../repositories/billing/sender-context.ts'
import type { TeamPurse } from '../../../repositories/teams/purse-sql.ts'
import type { TeamRef } from '../../../repositories/teams/teams.ts'
import type { ConversationChanges, TurnEnd } from '../../../repositories/turns/finish-turns.ts'
import type {
  SendableConversation,
  TurnContext,
} from '../../../repositories/turns/load-turn-context.ts'
import type { SendableMessage } from '../../../repositories/turns/send-histories.ts'
import type { NewTurn } from '../../../repositories/turns/start-turns.ts'
import type { BegunConversation } from '../../../repositories/turns/start-turns-statement.ts'
import type { FoundWith } from '../../access/read-ahead.ts'
import { teamNameKey } from '../../teams/team-name.ts'
import type { StartedTurn } from '../turn.ts'
import { conversationInOwnBytes, ownBytes, purseInOwnBytes, senderInOwnBytes } from './own-bytes.ts'

type RememberedSender = { session: LiveSession; sender: SenderContext; version: string }
type RememberedConversation = { conversation: SendableConversation; version: string }
/** Of a team, for one session: it says whether that may spend it. */
type RememberedPurse = { purse: TeamPurse }
type Remembered = RememberedSender | RememberedConversation | RememberedPurse

type Begun = BegunConversation
/** Empty: not yet. */
type LeftVersion = string
type EndedTurn = Pick<StartedTurn, 'conversationId' | 'answerId' | 'position'>
type Versions = { before: string; after: string } | null

/** The part of all that one conversation may take, so that it displaces few others. */
const LARGEST_SHARE = 1 / 64
/** What nothing has changed for this long is forgotten, since it may be deleted by now. */
const KEPT_MS = 15 * 60_000
const PURGE_EVERY_MS = 60_000
/** The cache sets a timer for each time that it reads. */
const CLOCK_MS = 1_000
/** A few MB at most. */
const MOST_STALE = 10_000
/** About what a row takes besides its sealed values. */
const ROW_BYTES = 400

export class SendMemory {
  readonly #entries: LRUCache<string, Remembered> | undefined
  /** Conversations that were stale, with the version in which this process has left them since. */
  readonly #left = new LRUCache<string, LeftVersion>({ max: MOST_STALE })
  #purge: NodeJS.Timeout | undefined

  /** @param maxBytes 0: remembers nothing. */
  constructor(maxBytes: number) {
    if (maxBytes === 0) return
    this.#entries = new LRUCache({
      maxSize: maxBytes,
      maxEntrySize: Math.ceil(maxBytes * LARGEST_SHARE),
      sizeCalculation: bytesOf,
      ttl: KEPT_MS,
      ttlResolution: CLOCK_MS,
    })
  }

  findSender(proof: SessionProof): RememberedSender | undefined {
    const found = this.#entries?.get(senderKey(proof))
    return found && 'sender' in found ? found : undefined
  }

  /** What the statement that found a session has read with it. */
  noteSender({ proof, session }: FoundWith, { versions, ...context }: TurnContext) {
    const { conversation: _, purse: read, ...sender } = context
    const remembered = { session, sender: senderInOwnBytes(sender), version: versions.sender }
    this.#keep(senderKey(proof), remembered)
    if (!read) return
    const purse = purseInOwnBytes(read)
    const byName = { nameKey: teamNameKey(purse.name) }
    for (const ref of [purse, byName]) this.#keep(purseKey(proof, ref), { purse })
  }

  /** The purse of the team that a call has pay, as its session last read it. */
  findPurse(proof: SessionProof, team: TeamRef): TeamPurse | undefined {
    const found = this.#entries?.get(purseKey(proof, team))
    return found && 'purse' in found ? found.purse : undefined
  }

  /**
   * What was remembered was not good enough for a send. A stale conversation may be in use on another
   * replica: it is remembered again once it is found as this process has left it.
   */
  noteStale(proof: SessionProof, conversationId: string | undefined | false): void {
    this.#entries?.delete(senderKey(proof))
    if (!conversationId) return
    this.#forget(conversationId)
    this.#left.set(keyOf(conversationId), '')
  }

  /** A conversation of the user's own in which no answer is running. */
  findConversation(id: string, userId: string): RememberedConversation | undefined {
    const found = this.#conversation(id)
    if (!found) return undefined
    const { ownerId, runningMessageId } = found.conversation
    return ownerId === userId && runningMessageId === null ? found : undefined
  }

  /** While an answer runs, the history that was read is without its message. */
  noteConversation({ conversation, versions }: TurnContext): void {
    if (conversation === undefined || versions.conversation === null) return
    if (conversation.runningMessageId !== null) return
    const key = keyOf(conversation.ref.id)
    if (this.#left.get(key) === versions.conversation) this.#left.delete(key)
    this.#put({ conversation, version: versions.conversation })
  }

  /** @param before the conversation as the turn was drafted from it; undefined: a new one. */
  noteBegun(turn: NewTurn, before: SendableConversation | undefined, begun: Begun): void {
    const { messageCount, userMessageId, content, answerId, opening } = turn
    const { ref, version } = begun
    const conversation = ref && opening ? newConversation(turn, ref, opening.model) : before
    if (!conversation) return
    const position = messageCount + 1
    const question = { id: userMessageId, position, role: 'user', content }
    const began = { messageCount: messageCount + 2, runningMessageId: answerId }
    this.#put({ conversation: { ...withMessage(conversation, question), ...began }, version })
  }

  /** @param versions of the conversation's row; null: the turn no longer held it. */
  noteEnded(turn: EndedTurn, end: TurnEnd, changes: ConversationChanges, versions: Versions): void {
    const { conversationId, answerId: id, position } = turn
    const key = keyOf(conversationId)
    if (this.#left.has(key)) this.#left.set(key, versions?.after ?? '')
    const found = this.#conversation(conversationId)
    if (!found) return
    const { conversation, version } = found
    const isAsBegun = version === versions?.before && conversation.runningMessageId === id
    const isKept = end.status === 'complete' && changes.historyStart === undefined
    if (!versions || !isAsBegun || !isKept) {
      this.#forget(conversationId)
      return
    }
    const answer = { id, position: position + 1, role: 'assistant', content: end.content }
    const { model = conversation.model, systemPrompt = conversation.systemPrompt } = changes
    const ended = {
      model,
      systemPrompt: ownBytes(systemPrompt),
      runningMessageId: null,
      isListed: true,
    }
    const left = { ...withMessage(conversation, answer), ...ended }
    this.#put({ conversation: left, version: versions.after })
  }

  #conversation(id: string): RememberedConversation | undefined {
    const found = this.#entries?.get(keyOf(id))
    return found && 'conversation' in found ? found : undefined
  }

  /**
   * Only what its owner reads, and whole: of other things the version tells nothing. Of the team that
   * pays neither, but the statement that begins a turn looks for itself whether it may.
   */
  #put(remembered: RememberedConversation): void {
    const { ref, role, history } = remembered.conversation
    const isSettled = !this.#left.has(keyOf(ref.id))
    if (role === 'owner' && history.isWhole && isSettled) {
      const conversation = conversationInOwnBytes(remembered.conversation)
      this.#keep(keyOf(ref.id), { conversation, version: remembered.version })
    } else this.#forget(ref.id)
  }

  /** One timer for all: the cache's own would be one for each entry. */
  #keep(key: string, entry: Remembered): void {
    this.#entries?.set(key, entry)
    this.#purge ??= setTimeout(() => this.#forgetOld(), PURGE_EVERY_MS).unref()
  }

  #forgetOld(): void {
    this.#entries?.purgeStale()
    if (this.#entries?.size) this.#purge?.refresh()
    else this.#purge = undefined
  }

  #forget(id: string): void {
    this.#entries?.delete(keyOf(id))
  }
}

const withMessage = (conversation: SendableConversation, message: SendableMessage) => ({
  ...conversation,
  history: {
    ...conversation.history,
    messages: [
      { ...message, content: ownBytes(message.content) },
      ...conversation.history.messages,
    ],
  },
})

const newConversation = (
  { userId }: NewTurn,
  ref: ConversationRef,
  model: string,
): SendableConversation => ({
  ref,
  ownerId: userId,
  role: 'owner',
  hasSent: null,
  systemPrompt: null,
  model,
  messageCount: 0,
  runningMessageId: null,
  historyStart: 1,
  historyOmitted: 0,
  isListed: true,
  payment: { teamId: null, teamName: null, isMember: false, isTeamOnly: false },
  history: { messages: [], isWhole: true },
})

const senderKey = (proof: SessionProof) => `session ${sessionKeyOf(proof)}`

const keyOf = (id: string) => `conversation ${id.toLowerCase()}`

const purseKey = (proof: SessionProof, team: TeamRef) =>
  `${senderKey(proof)} purse ${'id' in team ? team.id.toLowerCase() : `of ${team.nameKey}`}`

function bytesOf(entry: Remembered): number {
  if ('purse' in entry) {
    const { dataKey, key, poolLimits, caps, raises } = entry.purse
    const rows = 2 + poolLimits.length + caps.length + raises.length
    return ROW_BYTES * rows + dataKey.length + (key?.sealed.length ?? 0)
  }
  if ('sender' in entry) {
    const { userDataKey, apiKey, limits } = entry.sender
    return ROW_BYTES * (3 + limits.length) + userDataKey.length + (apiKey?.sealed.length ?? 0)
  }
  const { ref, systemPrompt, history } = entry.conversation
  const contents = history.messages.map(({ content }) => ROW_BYTES + (content?.length ?? 0))
  const sum = contents.reduce((one, other) => one + other, 0)
  return ROW_BYTES + ref.dataKey.length + (systemPrompt?.length ?? 0) + sum
}
