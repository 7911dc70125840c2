/**
 * The record of who changed what: sign-ins, credentials, consents, shares, roles, budgets, exports,
 * deletions and the operator's acts. Messages are not in it: the ledger is their record.
 *
 * An event is written in the transaction of its change, as its last step: a change whose event
 * cannot be written does not happen. It holds ids, roles and amounts, never text, titles or names,
 * so that erasing a person never needs to change it.
 */

import { chainHash, FIRST_PREV_HASH } from '../../crypto/audit-chain.ts'
import { newId } from '../../crypto/random.ts'
import type { InTransaction } from '../../repositories/index.ts'
import type { AuditDetail, AuditEvent } from './audit-event.ts'
import type { AuditKeys } from './audit-keys.ts'
import { toldOf } from './told-events.ts'

/** The chain of the installation. A team's chain has the team's id. */
export const INSTALLATION_CHAIN = '00000000-0000-0000-0000-000000000000'

export type { AuditDetail, AuditEvent }

type Deps = { keys: Pick<AuditKeys, 'current'> }

/** The part of a transaction that events are written with. */
export type AuditTransaction = Pick<InTransaction, 'auditEvents'>

export class AuditLog {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /**
   * Records what is the installation's and concerns teams: in its chain, and then in theirs.
   *
   * @param teamIds null: of none.
   */
  async recordInAll(
    transaction: AuditTransaction,
    event: Omit<AuditEvent, 'teamId'>,
    teamIds: readonly (string | null)[],
  ): Promise<void> {
    await this.record(transaction, event)
    const concerned = new Set(teamIds.flatMap((id) => id ?? []))
    for (const teamId of [...concerned].sort()) await this.record(transaction, { ...event, teamId })
  }

  /**
   * Also queues what webhooks are told of it. Call it as the last step of the transaction: others
   * wait for the end of the chain.
   */
  async record({ auditEvents }: AuditTransaction, event: AuditEvent): Promise<void> {
    const told = toldOf(event)
    if (told !== undefined) await auditEvents.tell({ id: newId(), ...told })
    const { id: keyId, vault } = this.#deps.keys.current
    const chain = event.teamId ?? INSTALLATION_CHAIN
    const head = await auditEvents.lockHead(chain)
    const { kind, userId, sessionId, addressPrefix } = event.actor
    const chained = {
      chain,
      seq: String(BigInt(head.seq) + 1n),
      at: head.at,
      action: event.action,
      actorKind: kind,
      actorId: userId,
      sessionId,
      addressPrefix,
      targetKind: event.target?.kind ?? null,
      targetId: event.target?.id ?? null,
      teamId: event.teamId ?? null,
      detail: JSON.stringify(event.detail ?? {}),
    }
    const prevHash = head.hash ?? FIRST_PREV_HASH
    const hash = chainHash(prevHash, chained)
    await auditEvents.append({ ...chained, prevHash, hash, mac: vault.mac(hash), keyId })
  }
}
