/** The audit log as people read it: names are joined in, since the log itself holds none. */

import type { StoredEvent } from '../../repositories/audit/events.ts'
import type { Repositories } from '../../repositories/index.ts'
import type { AuditDetail } from './audit-log.ts'

type Deps = { repositories: Pick<Repositories, 'auditEvents' | 'users'> }

/** `actor`, `target`: names of people who are still here; for all others what is known of them. */
export type ReadEvent = {
  seq: string
  at: Date
  action: string
  actor: string
  network: string | null
  target: string | null
  detail: AuditDetail
}

const EVENTS_PER_PAGE = 50

export class AuditReading {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /**
   * A page of one chain, newest first. The caller has checked that the reader may see the chain.
   *
   * @param beforeSeq of the last event of the page before; null for the first page.
   * @returns `next`: the same for the next page; null when there is none.
   */
  async page(chain: string, beforeSeq: string | null) {
    const { auditEvents, users } = this.#deps.repositories
    const rows = await auditEvents.page(chain, beforeSeq, EVENTS_PER_PAGE + 1)
    const page = rows.slice(0, EVENTS_PER_PAGE)
    const names = await users.namesOf([...new Set(page.flatMap(peopleIn))])
    return {
      events: page.map((row) => toRead(row, names)),
      next: rows.length > page.length ? (page.at(-1)?.seq ?? null) : null,
    }
  }
}

const peopleIn = ({ actorId, targetKind, targetId }: StoredEvent) => [
  ...(actorId === null ? [] : [actorId]),
  ...(targetKind === 'user' && targetId !== null ? [targetId] : []),
]

/** Ids begin with their time, which users of one minute share. */
const formerName = (id: string) => `former user …${id.slice(-8)}`

function toRead(row: StoredEvent, names: ReadonlyMap<string, string>): ReadEvent {
  const nameOf = (id: string) => names.get(id) ?? formerName(id)
  const { targetKind, targetId, actorId, actorKind } = row
  return {
    seq: row.seq,
    at: new Date(row.at),
    action: row.action,
    actor: actorId === null ? (ACTORS[actorKind] ?? actorKind) : nameOf(actorId),
    network: row.addressPrefix,
    target:
      targetId === null
        ? null
        : targetKind === 'user'
          ? nameOf(targetId)
          : `${targetKind} ${targetId}`,
    detail: JSON.parse(row.detail),
  }
}

const ACTORS: Record<string, string> = {
  user: 'a visitor',
  operator: 'the operator',
  system: 'the gateway',
}
