import { Branching, createCopyQueue } from '../conversations/branching.ts'
import { ConversationChanges } from '../conversations/changes.ts'
import { ConversationDeletion } from '../conversations/conversation-deletion.ts'
import { ConversationHeads } from '../conversations/conversation-heads.ts'
import { ConversationService } from '../conversations/conversations.ts'
import { ConversationExport } from '../conversations/exports/conversation-export.ts'
import { modelChoices } from '../conversations/model-choices.ts'
import { SearchService } from '../conversations/search/search.ts'
import { LinkAdministration } from '../conversations/sharing/link-administration.ts'
import { LinkCopies } from '../conversations/sharing/link-copies.ts'
import { Links } from '../conversations/sharing/links.ts'
import { Sharing } from '../conversations/sharing/sharing.ts'
import { Snapshots } from '../conversations/sharing/snapshots.ts'
import { TeamConversations } from '../conversations/sharing/team-conversations.ts'
import { Transfers } from '../conversations/sharing/transfers.ts'
import { StorageService } from '../conversations/storage.ts'
import { ImportService } from '../imports/imports.ts'
import type { AnswerService } from '../turns/answers/follow-answer.ts'
import type { Answers } from './answers.ts'
import type { Foundation } from './foundation.ts'

export type Conversations = ReturnType<typeof createConversations>

/** Conversations apart from their turns: kept, found, shared, exported and imported. */
export function createConversations(foundation: Foundation, { answers }: Answers) {
  const { config, repositories, transact, audit, sessions, vault } = foundation
  const { heavyReads, memory, openExports: open, publicUrl } = foundation
  const { defaultModel, importMaxMib: maxMib, maxStoredBytes } = config.chat
  const heads = new ConversationHeads({ repositories, vault })
  return {
    storage: new StorageService({ repositories, transact, limitBytes: maxStoredBytes }),
    modelChoices: modelChoices(defaultModel),
    conversationHeads: heads,
    conversations: new ConversationService({ repositories, vault, heavyReads }),
    conversationChanges: new ConversationChanges({ transact, vault, maxStoredBytes }),
    conversationDeletion: new ConversationDeletion({
      ...{ repositories, heads, transact, audit, answers },
    }),
    conversationExport: new ConversationExport({
      ...{ repositories, transact, audit, heads, sessions, heavyReads, memory, open, publicUrl },
    }),
    imports: new ImportService({
      ...{ repositories, transact, audit, vault, memory, maxMib, defaultModel, maxStoredBytes },
    }),
    search: new SearchService({ repositories, vault }),
    ...createSharing(foundation, answers),
  }
}

function createSharing(foundation: Foundation, answers: AnswerService) {
  const { config, repositories, transact, audit, vault, heavyReads, publicUrl } = foundation
  const { links: mode, publicLinkMaxDays } = config.sharing
  const { maxStoredBytes } = config.chat
  const copies = createCopyQueue()
  const snapshots = new Snapshots({ repositories, transact, audit, vault, heavyReads, mode })
  return {
    branching: new Branching({ repositories, transact, vault, copies, maxStoredBytes }),
    sharing: new Sharing({ repositories, transact, audit, vault, answers }),
    links: new Links({
      ...{ repositories, transact, audit, vault, mode, publicLinkMaxDays, publicUrl },
    }),
    snapshots,
    linkAdministration: new LinkAdministration({ repositories, transact, audit }),
    linkCopies: new LinkCopies({ transact, vault, snapshots, copies, maxStoredBytes }),
    teamConversations: new TeamConversations({ repositories, transact, audit, answers }),
    transfers: new Transfers({ transact, audit, maxStoredBytes }),
  }
}
