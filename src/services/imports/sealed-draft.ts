import { estimateTokens } from '../../claude/prices/tokens.ts'
import { newId } from '../../crypto/random.ts'
import type {
  WholeConversation,
  WholeMessage,
} from '../../repositories/conversations/conversation-writer.ts'
import { type ConversationVault, textOf, type Vault } from '../keys/vault.ts'
import type { Draft, DraftMessage } from './sources/draft.ts'

type Owner = {
  userId: string
  sessionId: string
  /** Of the conversation's next message; exports do not tell it reliably. */
  model: string
  ref: Buffer
}

const BATCH_BYTES = 1024 * 1024
const BATCH_MESSAGES = 500

/** The draft as it is stored, sealed under a key of its own. Messages are sealed as they are read. */
export function sealedDraft(draft: Draft, owner: Owner, vaults: Vault) {
  const { userId, sessionId, model, ref } = owner
  const id = newId()
  const { wrapped: dataKey, vault } = vaults.createConversationKey(id, userId)
  const { title, systemPrompt, createdAt, updatedAt } = draft
  const conversation: WholeConversation = {
    id,
    userId,
    sessionId,
    dataKey,
    title: vault.sealTitle(title),
    titleBy: 'import',
    systemPrompt: systemPrompt === null ? null : vault.sealSystemPrompt(systemPrompt),
    model,
    imported: { source: draft.source, ref },
    createdAt,
    updatedAt,
  }
  return { conversation, messages: sealedMessages(draft.messages, vault, model) }
}

async function* sealedMessages(
  messages: readonly DraftMessage[],
  vault: ConversationVault,
  model: string,
): AsyncGenerator<WholeMessage[]> {
  let batch: WholeMessage[] = []
  let bytes = 0
  for (const [index, message] of messages.entries()) {
    const sealed = sealedMessage(message, index + 1, vault, model)
    batch.push(sealed)
    bytes += sealed.content?.length ?? 0
    if (bytes < BATCH_BYTES && batch.length < BATCH_MESSAGES) continue
    yield batch
    batch = []
    bytes = 0
  }
  yield batch
}

function sealedMessage(
  { role, status, content, createdAt }: DraftMessage,
  position: number,
  vault: ConversationVault,
  model: string,
): WholeMessage {
  const id = newId()
  return {
    id,
    position,
    role,
    status,
    content: content.length === 0 ? null : vault.sealContent(id, content),
    model,
    tokenCount: estimateTokens(textOf(content)),
    createdAt,
    finishedAt: createdAt,
    imported: true,
  }
}
