/** One conversation as a file, or in parts that fit into results of tools. */

import type { HeavyReads } from '../../../concurrency/heavy-reads.ts'
import type { Memory } from '../../../concurrency/memory.ts'
import { mapInSlices } from '../../../concurrency/slices.ts'
import { AppError } from '../../../errors.ts'
import type { Repositories, Transact } from '../../../repositories/index.ts'
import { actorOf } from '../../access/actor.ts'
import { holdSession } from '../../access/authority.ts'
import type { Caller } from '../../access/caller.ts'
import type { Scope } from '../../access/scopes.ts'
import type { SessionService } from '../../access/sessions.ts'
import type { AuditLog } from '../../audit/audit-log.ts'
import type { ConversationVault } from '../../keys/vault.ts'
import type { ConversationHeads } from '../conversation-heads.ts'
import { inChunks } from './chunks.ts'
import { jsonWriter } from './json-writer.ts'
import { markdownWriter } from './markdown-writer.ts'
import type { OpenExports } from './open-exports.ts'
import type { Writer, WrittenMessage } from './writer.ts'

const WRITERS = { markdown: markdownWriter, json: jsonWriter } satisfies Record<string, Writer>
export type ExportFormat = keyof typeof WRITERS
export const EXPORT_FORMATS = Object.keys(WRITERS) as readonly ExportFormat[]

type Deps = {
  repositories: Pick<Repositories, 'conversationExports'>
  transact: Transact<'auditEvents' | 'authority'>
  audit: Pick<AuditLog, 'record'>
  heads: ConversationHeads
  sessions: Pick<SessionService, 'confirm'>
  heavyReads: HeavyReads
  memory: Pick<Memory, 'refuseWhenShort'>
  open: OpenExports
  /** Without a trailing slash. */
  publicUrl: string
}

const NEEDED: readonly Scope[] = ['conversations:read']

/** A piece of the file: its head at position 0, then one for each message, then its tail. */
type Piece = { position: number; text: string }
/** How much of the file is known: all pieces before a position, and so much of the one there. */
type Place = {
  position: number
  offset: number
  /** Whether no message comes before. */
  isFirst: boolean
}

const BEGINNING: Place = { position: 0, offset: 0, isFirst: true }
/** After any message. */
const TAIL = 2_147_483_647
const CHUNK_CHARACTERS = 64 * 1024
/** Clients hand at most 25,000 tokens of a result to their model, and keep little more. */
const PART_CHARACTERS = 150_000

export class ConversationExport {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /** In a browser that is signed in. */
  downloadUrl(id: string, format: ExportFormat): string {
    return `${this.#deps.publicUrl}/account/conversations/${id}/export?format=${format}`
  }

  /**
   * Streams the file in pieces; write each before reading the next. A turn that is running, and
   * turns of which no text is kept, are left out. The audit log has it before its first piece.
   *
   * @throws AppError before the first piece: not_found, rate_limited, overloaded. Before any:
   *   unauthenticated when the caller's session has ended.
   */
  async *stream(caller: Caller, id: string, format: ExportFormat): AsyncGenerator<string> {
    const { memory, open, sessions } = this.#deps
    memory.refuseWhenShort()
    open.begin(caller.userId)
    try {
      await this.#record(caller, id, format)
      const texts = textsOf(this.#pieces(caller, id, { format, from: BEGINNING }))
      for await (const chunk of inChunks(texts, CHUNK_CHARACTERS)) {
        await sessions.confirm(caller, NEEDED)
        yield chunk
      }
    } finally {
      open.end(caller.userId)
    }
  }

  /**
   * The file from a cursor on, as much as a result may hold. All parts together are the file, also
   * when messages were added meanwhile.
   *
   * @returns `nextCursor` for the next part; null when this one is the last.
   * @throws AppError not_found; invalid_input for a malformed cursor; rate_limited, overloaded.
   */
  async part(caller: Caller, id: string, format: ExportFormat, cursor?: string) {
    const from = cursor === undefined ? BEGINNING : decodePlace(cursor)
    if (cursor === undefined) await this.#record(caller, id, format)
    let [text, isFirst] = ['', from.isFirst]
    for await (const piece of this.#pieces(caller, id, { format, from })) {
      const start = piece.position === from.position ? from.offset : 0
      const room = PART_CHARACTERS - text.length
      if (piece.text.length - start > room) {
        const offset = start + wholeCharacters(piece.text, start, room)
        text += piece.text.slice(start, offset)
        return { text, nextCursor: encodePlace({ position: piece.position, offset, isFirst }) }
      }
      text += piece.text.slice(start)
      isFirst &&= piece.position === 0
    }
    return { text, nextCursor: null }
  }

  /** @throws AppError not_found when the caller has no access to it. */
  async #record(caller: Caller, id: string, format: ExportFormat): Promise<void> {
    const { audit, heads, transact } = this.#deps
    await heads.get(caller, id)
    await transact(async (repositories) => {
      await holdSession(repositories, caller, NEEDED)
      await audit.record(repositories, {
        action: 'export.conversation',
        actor: actorOf(caller),
        target: { kind: 'conversation', id },
        detail: { format },
      })
    })
  }

  async *#pieces(
    caller: Caller,
    id: string,
    { format, from }: { format: ExportFormat; from: Place },
  ): AsyncGenerator<Piece> {
    const writer: Writer = WRITERS[format]
    const { head, vault } = await this.#deps.heads.open(caller, id)
    if (from.position === 0) yield { position: 0, text: writer.head(head) }
    let isFirst = from.isFirst
    let last: WrittenMessage | undefined
    for (;;) {
      const after = last?.position ?? Math.max(0, from.position - 1)
      const page = await this.#page(caller, { id, vault, after })
      if (page.length === 0) break
      for (const message of page) {
        yield { position: message.position, text: writer.message(message, isFirst) }
        isFirst = false
      }
      last = page.at(-1)
    }
    // A conversation that is gone has no messages either: a part must not look like the whole.
    await this.#deps.heads.get(caller, id)
    yield { position: TAIL, text: writer.tail }
  }

  /** Opened in the turn of its reader, so that a slow one does not hold up others. */
  #page({ userId }: Caller, { id, vault, after }: PageOfMessages): Promise<WrittenMessage[]> {
    const { conversationExports } = this.#deps.repositories
    return this.#deps.heavyReads.run(userId, async () => {
      const messages = await conversationExports.page(id, userId, after)
      const bytesOf = ({ content }: { content: Buffer | null }) => content?.length ?? 0
      return mapInSlices(messages, bytesOf, ({ content, ...message }) => ({
        ...message,
        blocks: content === null ? [] : vault.openContent(message.id, content),
      }))
    })
  }
}

type PageOfMessages = { id: string; vault: ConversationVault; after: number }

async function* textsOf(pieces: AsyncIterable<Piece>) {
  for await (const { text } of pieces) yield text
}

/** How many of at most `most` units from `start` on do not end within a character. */
function wholeCharacters(text: string, start: number, most: number): number {
  const last = text.charCodeAt(start + most - 1)
  return last >= 0xd800 && last <= 0xdbff ? most - 1 : most
}

const encodePlace = ({ position, offset, isFirst }: Place) =>
  Buffer.from(`${position}.${offset}.${Number(isFirst)}`).toString('base64url')

function decodePlace(cursor: string): Place {
  const text = Buffer.from(cursor, 'base64url').toString('latin1')
  const match = /^(\d{1,10})\.(\d{1,9})\.([01])$/.exec(text)
  const position = Number(match?.[1])
  if (!match || position > TAIL) {
    throw new AppError('invalid_input', 'cursor must be a next_cursor of an earlier part.', {
      details: { field: 'cursor' },
    })
  }
  return { position, offset: Number(match[2]), isFirst: match[3] === '1' }
}
