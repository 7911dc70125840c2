import { KeyLinks } from '../api-keys/key-links.ts'
import { KeyRejections } from '../api-keys/key-rejections.ts'
import { TeamKeys } from '../api-keys/team-keys.ts'
import type { Foundation } from './foundation.ts'

export type ApiKeys = ReturnType<typeof createApiKeys>

/** Keys of Anthropic: how they are entered, and what is noted of them. */
export function createApiKeys(foundation: Foundation) {
  const { config, repositories, transact, audit, claude, sessions, vault, publicUrl } = foundation
  const { validateApiKeys } = config.accounts
  return {
    keyLinks: new KeyLinks({ repositories, transact, publicUrl }),
    keyRejections: new KeyRejections({ transact, audit }),
    teamKeys: new TeamKeys({
      ...{ repositories, transact, audit, claude, sessions, vault, validateApiKeys },
    }),
  }
}
