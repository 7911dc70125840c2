/** What an admin command is. */

import type { Repositories } from '../repositories/index.ts'
import type { Services } from '../services/index.ts'
import type { Option, Values } from './arguments.ts'

type Gateway = { services: Services; repositories: Repositories }
/** @returns false when a check failed, otherwise true or undefined. */
export type Run = (gateway: Gateway) => Promise<boolean | undefined>

export type Command = {
  /** Without `npm run admin --`. With USERNAME, TEAM or REQUEST, a name or id follows the two words. */
  usage: string
  note: string
  options: readonly Option[]
  /** Validates the arguments before the gateway is loaded. @throws UsageError. */
  prepare(values: Values, name: string): Run
}
