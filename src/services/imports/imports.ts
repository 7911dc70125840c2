/** Imports conversations from claude.ai, ChatGPT and other gateways. */

import type { Memory } from '../../concurrency/memory.ts'
import { AppError, toAppError } from '../../errors.ts'
import { type ImportedBefore, isImportedAlready } from '../../repositories/conversations/imports.ts'
import type { InTransaction, Repositories, Transact } from '../../repositories/index.ts'
import { actorOf } from '../access/actor.ts'
import { holdSession, reachOf } from '../access/authority.ts'
import type { Caller } from '../access/caller.ts'
import { wrongField } from '../access/field-rules.ts'
import { requireScopes, type Scope } from '../access/scopes.ts'
import type { AuditLog, AuditTransaction } from '../audit/audit-log.ts'
import type { UserVault, Vault } from '../keys/vault.ts'
import type { Pieces } from './file/json-files.ts'
import { ImportReport } from './import-report.ts'
import { OpenImports } from './open-imports.ts'
import { conversationsIn } from './read-file.ts'
import { sealedDraft } from './sealed-draft.ts'
import type { Draft } from './sources/draft.ts'

type Deps = {
  repositories: Pick<Repositories, 'users'>
  transact: Transact<
    | 'auditEvents'
    | 'authority'
    | 'conversationChanges'
    | 'conversationHeads'
    | 'conversationWriter'
    | 'imports'
  >
  audit: Pick<AuditLog, 'record' | 'recordInAll'>
  vault: Vault
  memory: Pick<Memory, 'refuseWhenShort'>
  /** The largest file, and the largest content of a zip. */
  maxMib: number
  defaultModel: string
  /** Per user; null: no limit. */
  maxStoredBytes: number | null
}

type Result = 'imported' | 'replaced' | 'branched' | 'already' | 'storage_full' | 'continued_here'

/**
 * What becomes of a conversation that was imported before and has more messages now: it stays as it is,
 * the new one is imported beside it, or takes its place.
 */
export const GROWN = ['keep', 'branch', 'replace'] as const
export type Grown = (typeof GROWN)[number]

/** @throws AppError invalid_input. */
export function grownOf(value: unknown): Grown {
  const found = value === undefined ? 'keep' : GROWN.find((one) => one === value)
  if (found === undefined) throw wrongField('grown', `must be one of: ${GROWN.join(', ')}`)
  return found
}

/** Which branches of a conversation are imported: the one shown last, or all, each as one of its own. */
export const BRANCHES = ['current', 'all'] as const
export type Branches = (typeof BRANCHES)[number]

/** @throws AppError invalid_input. */
export function branchesOf(value: unknown): Branches {
  const found = value === undefined ? 'current' : BRANCHES.find((one) => one === value)
  if (found === undefined) throw wrongField('branches', `must be one of: ${BRANCHES.join(', ')}`)
  return found
}

const NEEDED: readonly Scope[] = ['conversations:write']
const MAX_CONVERSATIONS = 100_000

export class ImportService {
  readonly #deps: Deps
  readonly #open = new OpenImports()

  constructor(deps: Deps) {
    this.#deps = deps
  }

  get maxMib(): number {
    return this.#deps.maxMib
  }

  /**
   * Stores the conversations of a file, each in its own transaction; at the end the audit log has how
   * many, also after an error. Those that an earlier
   * import stored are not stored twice, so a file can be sent again.
   *
   * @param body read no faster than its conversations are stored.
   * @param signal ends it when its client is gone.
   * @throws AppError insufficient_scope, rate_limited, overloaded at once. Later invalid_input,
   *   request_too_large, unauthenticated when the session ends meanwhile, cancelled:
   *   `details.report` says what was imported before.
   */
  async run(
    caller: Caller,
    body: Pieces,
    signal: AbortSignal,
    { grown = 'keep', branches = 'current' }: { grown?: Grown; branches?: Branches } = {},
  ): Promise<ImportReport> {
    requireScopes(caller.scopes, NEEDED)
    this.#deps.memory.refuseWhenShort()
    return this.#open.run(caller.userId, async () => {
      const report = new ImportReport()
      try {
        await this.#read({ caller, grown, branches }, body, signal, report)
      } catch (error) {
        if (report.imported > 0) await this.#record(caller, report, false)
        throw withReport(toAppError(error), report)
      }
      await this.#record(caller, report, true)
      return report
    })
  }

  /** Whether or not the session has ended since: what was stored is there. */
  async #record(caller: Caller, report: ImportReport, isWhole: boolean): Promise<void> {
    const { found, imported, replaced, already, skippedInAll: skipped } = report
    await this.#deps.transact((repositories) =>
      this.#deps.audit.record(repositories, {
        action: 'import.done',
        actor: actorOf(caller),
        target: { kind: 'user', id: caller.userId },
        detail: { found, imported, replaced, already, skipped, whole: isWhole },
      }),
    )
  }

  async #recordReplaced(
    transaction: AuditTransaction,
    caller: Caller,
    { id, teamId, ...counts }: Replaced,
  ): Promise<void> {
    const event = {
      action: 'conversation.deleted',
      actor: actorOf(caller),
      target: { kind: 'conversation', id },
      detail: { ...counts, replaced: true },
    }
    await this.#deps.audit.recordInAll(transaction, event, [teamId])
  }

  async #read(asked: Asked, body: Pieces, signal: AbortSignal, report: ImportReport) {
    const { repositories, vault, maxMib } = this.#deps
    const { userId } = asked.caller
    const userVault = vault.openUser(userId, await repositories.users.getDataKey(userId))
    const options = {
      maxMib,
      withBranches: asked.branches === 'all',
      note: (type: string) => report.noteBlock(type),
      leftOut: (branches: number) => {
        report.branchesLeftOut += branches
      },
    }
    for await (const found of conversationsIn(body, options)) {
      if (signal.aborted) throw givenUp()
      if (report.found === MAX_CONVERSATIONS) throw tooManyConversations()
      report.found += 1
      if ('reason' in found) report.skip(found.ref, found.reason)
      else await this.#take(asked, userVault, found.draft, report)
    }
  }

  async #take(asked: Asked, userVault: UserVault, draft: Draft, report: ImportReport) {
    const result = await this.#store(asked, userVault, draft)
    if (result === 'storage_full' || result === 'continued_here') {
      return report.skip(draft.sourceId, result)
    }
    report[result] += 1
    if (result === 'replaced' || result === 'branched') report.imported += 1
  }

  async #store({ caller, grown }: Asked, userVault: UserVault, draft: Draft): Promise<Result> {
    const { transact, vault, defaultModel: model, maxStoredBytes: limitBytes } = this.#deps
    const { userId, sessionId } = caller
    const { source, sourceId } = draft
    const ref = userVault.importRef(source, sourceId)
    const mark = { source, ref, conversationId: source === 'gateway' ? sourceId : null }
    try {
      return await transact(async (repositories) => {
        await holdSession(repositories, caller, NEEDED)
        const before = await repositories.imports.find(userId, mark)
        const isGrown = before !== undefined && draft.messages.length > before.messages
        if (before && (!isGrown || before.isOriginal || grown === 'keep')) return 'already'
        const given = before && (await giveWay(repositories, caller, before, grown))
        if (given === 'continued_here') return given
        const owner = { userId, sessionId, model, ref }
        const { conversation, messages } = sealedDraft(draft, owner, vault)
        const options = { limitBytes }
        const written = await repositories.conversationWriter.write(conversation, messages, options)
        if (written === undefined) throw new StorageFull()
        if (given === undefined) return 'imported'
        if (given !== 'branched') await this.#recordReplaced(repositories, caller, given)
        return given === 'branched' ? given : 'replaced'
      })
    } catch (error) {
      if (error instanceof StorageFull) return 'storage_full'
      // The same file is being imported through another process.
      if (isImportedAlready(error)) return 'already'
      throw error
    }
  }
}

type Asked = { caller: Caller; grown: Grown; branches: Branches }

type Replaced = {
  id: string
  messages: number
  shares: number
  links: number
  teamId: string | null
}

/** Makes room for a conversation that has grown: call it before that is written. */
async function giveWay(
  repositories: Pick<InTransaction, 'conversationChanges' | 'conversationHeads' | 'imports'>,
  caller: Caller,
  before: ImportedBefore,
  grown: Grown,
): Promise<'branched' | 'continued_here' | Replaced> {
  const { conversationChanges, conversationHeads, imports } = repositories
  const { id } = before
  const locked = await conversationChanges.lock(id, reachOf(caller))
  if (grown === 'branch') {
    await imports.forget(id, caller.userId)
    return 'branched'
  }
  // A turn that began before the lock was waited for.
  const isContinued = before.isContinued || locked?.messageCount !== before.messages
  if (locked === undefined || isContinued || locked.runningMessageId !== null) {
    return 'continued_here'
  }
  const { shares, links } = await conversationHeads.countDependents(id, caller.userId)
  await conversationChanges.delete(locked)
  return { id, messages: before.messages, shares, links, teamId: locked.teamId }
}

/** Rolls the transaction back. */
class StorageFull extends Error {}

function withReport(error: AppError, report: ImportReport): AppError {
  if (error.code === 'internal' || error.code === 'unauthenticated') return error
  const { code, message, onPages, retryAfterSeconds, details, cause } = error
  const before = `Imported before that: ${report.imported}. Nothing is imported twice when you send the file again.`
  const withBefore = (words: string) => (report.imported === 0 ? words : `${words} ${before}`)
  return new AppError(code, withBefore(message), {
    onPages: onPages && withBefore(onPages),
    retryAfterSeconds,
    details: { ...details, report },
    cause,
  })
}

const givenUp = () => new AppError('cancelled', 'The connection was closed during the import.')

const tooManyConversations = () =>
  new AppError(
    'request_too_large',
    `The file has more than ${MAX_CONVERSATIONS} conversations. Split it.`,
  )
