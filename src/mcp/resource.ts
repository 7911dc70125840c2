/** A resource as this gateway defines it: once, and knowing no SDK. */

import type { Caller } from '../services/access/caller.ts'
import type { Scope } from '../services/access/scopes.ts'
import type { Services } from '../services/index.ts'

export type Resource = {
  uri: string
  /** Without spaces, for programs. */
  name: string
  title: string
  description: string
  /** What a connection or personal token has to be allowed. */
  scope: Scope
  read(context: { caller: Caller; services: Services }): Promise<Record<string, unknown>>
}

export function defineResource(resource: Resource): Resource {
  return resource
}
