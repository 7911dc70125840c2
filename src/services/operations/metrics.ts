import type { Repositories } from '../../repositories/index.ts'
import type { Caller } from '../access/caller.ts'
import { requireAuditor } from '../access/installation-roles.ts'

type Deps = {
  repositories: Pick<Repositories, 'conversations' | 'sessions' | 'signInFailures' | 'statistics'>
  /** Id of the key-encryption key that seals new values. */
  encryptionKeyId: string
}

/** The figures of the metrics resource: a user's own, or for an admin everyone's. */
export class MetricsService {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /**
   * How much is shared in the installation, by the kind of reader; neither what nor whose.
   *
   * @throws AppError forbidden unless the caller is an auditor or an admin.
   */
  async countShares(caller: Caller) {
    requireAuditor(caller)
    return this.#deps.repositories.statistics.countShares()
  }

  async read(caller: Caller) {
    const scope = caller.isAuditor ? null : caller.userId
    const { conversations, sessions, signInFailures, statistics } = this.#deps.repositories
    const [lastDay, total, times, failures, live] = await Promise.all([
      statistics.lastDay(scope),
      conversations.count(scope),
      statistics.sendTimes(scope),
      signInFailures.countLastDay(scope),
      sessions.countLive(scope),
    ])
    return {
      scope: caller.isAuditor ? ('everybody' as const) : ('own' as const),
      activeUsers: lastDay.activeUsers,
      totalConversations: total,
      messagesLast24h: lastDay.messages,
      performance: times,
      security: {
        encryptionKeyId: this.#deps.encryptionKeyId,
        failedSignInsLast24h: failures,
        activeSessions: live,
      },
    }
  }
}
