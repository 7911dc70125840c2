/** What the operator may do with the links of all users: see figures and ids, and end them. */

import type { AnyLink } from '../../../repositories/conversations/sharing/all-links.ts'
import type { Repositories, Transact } from '../../../repositories/index.ts'
import { OPERATOR } from '../../audit/audit-actor.ts'
import type { AuditLog } from '../../audit/audit-log.ts'

type Deps = {
  repositories: Pick<Repositories, 'allLinks'>
  transact: Transact<'allLinks' | 'auditEvents'>
  audit: Pick<AuditLog, 'record'>
}

/** Before any id. */
const FIRST = '00000000-0000-0000-0000-000000000000'

export class LinkAdministration {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /**
   * A page of the links that work, oldest first.
   *
   * @returns `next`: pass it as `after`; undefined on the last page.
   */
  async list({ after = FIRST, limit }: { after?: string | undefined; limit: number }) {
    const rows = await this.#deps.repositories.allLinks.list(after, limit + 1)
    const links: AnyLink[] = rows.slice(0, limit)
    return { links, next: rows.length > limit ? links.at(-1)?.id : undefined }
  }

  /** Ends all that work, at once, or only the public ones. @returns how many. */
  async revokeAll(isOnlyPublic: boolean): Promise<number> {
    return this.#deps.transact(async (repositories) => {
      const links = await repositories.allLinks.revoke(isOnlyPublic)
      await this.#deps.audit.record(repositories, {
        action: 'link.revoked',
        actor: OPERATOR,
        detail: { links, onlyPublic: isOnlyPublic },
      })
      return links
    })
  }
}
