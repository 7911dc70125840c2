/** Definition of a resource, independent of the SDKs. */

import type { Caller } from '../services/access/caller.ts'
import type { Scope } from '../services/access/scopes.ts'
import type { Services } from '../services/index.ts'

export type Resource = {
  uri: string
  /** For programs, without spaces. */
  name: string
  title: string
  description: string
  /** The scope that a connection or personal token needs. */
  scope: Scope
  read(context: { caller: Caller; services: Services }): Promise<Record<string, unknown>>
}

export function defineResource(resource: Resource): Resource {
  return resource
}
