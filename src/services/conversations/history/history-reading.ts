/** Reads only as much of a conversation as a send can use. */

import type { HeavyReads } from '../../../concurrency/heavy-reads.ts'
import { mapInSlices } from '../../../concurrency/slices.ts'
import type { Repositories } from '../../../repositories/index.ts'
import type { SendableMessage } from '../../../repositories/turns/send-histories.ts'
import type { OpenedConversation } from './conversation-context.ts'
import { fitHistory, type HistoryLimits, SentHistory, TurnsFromNewest } from './history-window.ts'

type Deps = { repositories: Pick<Repositories, 'sendHistories'>; heavyReads: HeavyReads }

type Readable = Pick<
  OpenedConversation,
  'id' | 'vault' | 'messageCount' | 'historyStart' | 'historyOmitted' | 'history'
>

export class HistoryReading {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /**
   * The history for Claude, and how many whole messages are omitted. Reads pages beyond the one
   * that came with the conversation only while everything read so far would be sent.
   *
   * @throws AppError rate_limited, overloaded.
   */
  async read(userId: string, conversation: Readable, limits: HistoryLimits) {
    const { id: conversationId, messageCount, historyStart: from, historyOmitted } = conversation
    const turns = new TurnsFromNewest()
    let { messages, isWhole } = conversation.history
    let before = messageCount + 1
    let found = 0
    for (;;) {
      for (const message of await this.#open(conversation, messages)) turns.add(message)
      found += messages.length
      before = messages.at(-1)?.position ?? before
      if (isWhole || turns.passes(limits)) break
      const range = { conversationId, userId, from, before }
      const read = () => this.#deps.repositories.sendHistories.page(range)
      ;({ messages, isWhole } = await this.#deps.heavyReads.run(userId, read))
    }
    if (!isWhole) {
      const unread = { conversationId, userId, from, before }
      found += await this.#deps.repositories.sendHistories.count(unread)
    }
    const sent = fitHistory(turns.oldestFirst(), limits)
    return { history: new SentHistory(sent), omitted: historyOmitted + found - sent.length * 2 }
  }

  #open({ vault }: Readable, messages: readonly SendableMessage[]) {
    return mapInSlices(messages, bytesOf, ({ id, position, role, content }) => ({
      position,
      role,
      content: content === null ? [] : vault.openContent(id, content),
    }))
  }
}

const bytesOf = ({ content }: SendableMessage) => content?.length ?? 0
