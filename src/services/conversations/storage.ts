/** Storage per user: the usage and the limit. */

import { AppError } from '../../errors.ts'
import type { Repositories, Transact } from '../../repositories/index.ts'

type Deps = {
  repositories: Pick<Repositories, 'storage'>
  transact: Transact<'storage'>
  /** Null: no limit. */
  limitBytes: number | null
}

export type StorageUse = { bytes: number; limitBytes: number | null }

const COUNTED_AT_ONCE = 20

export class StorageService {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  async use(userId: string): Promise<StorageUse> {
    const { repositories, limitBytes } = this.#deps
    return { bytes: await repositories.storage.bytes(userId), limitBytes }
  }

  /**
   * Backfills the sums of users from before there were sums, each in its own transaction.
   *
   * @returns how many users; 0 when all are done.
   */
  async countOlder(): Promise<number> {
    const { repositories, transact } = this.#deps
    const userIds = await repositories.storage.listUncounted(COUNTED_AT_ONCE)
    for (const userId of userIds) await transact(({ storage }) => storage.count(userId))
    return userIds.length
  }
}

export function storageFull(limitBytes: number | null): AppError {
  return new AppError(
    'storage_full',
    'What the gateway keeps of you has reached its limit, so there is no room for this message. Ask the operator for more (MAX_STORED_BYTES_PER_USER), or take your data with export_my_data and delete the account.',
    {
      onPages:
        'What the gateway keeps of you has reached its limit, so there is no room for this message. Ask the operator for more (MAX_STORED_BYTES_PER_USER), or take your data and delete the account at /account/data.',
      details: { limit_bytes: limitBytes },
    },
  )
}
