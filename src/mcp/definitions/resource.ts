/** Definition of a resource, and of a template of resources, independent of the SDKs. */

import type { Caller } from '../../services/access/caller.ts'
import type { Scope } from '../../services/access/scopes.ts'
import type { Services } from '../../services/index.ts'

export type ReadContext = { caller: Caller; services: Services }

/** Text, or bytes in base64. */
export type Contents = { text: string } | { blob: string }

type Described = {
  /** For programs, without spaces. */
  name: string
  title: string
  description: string
  mimeType: string
  /** The scope that a connection or personal token needs. */
  scope: Scope
}

export type Resource = Described & {
  uri: string
  read(context: ReadContext): Promise<Contents>
}

/** Values of the variables of a URI template, or of the arguments of a prompt. */
export type Variables = Readonly<Record<string, string>>

/**
 * Proposes values that begin like the text typed so far, best first; clients see at most 100.
 *
 * @param given the values already chosen for the others.
 */
export type Completer = (
  typed: string,
  context: ReadContext & { given: Variables },
) => Promise<readonly string[]>

/** By the name of the variable or argument. */
export type Completers = Readonly<Record<string, Completer>>

export type ResourceTemplate = Described & {
  /** RFC 6570; each variable is one part of a path. */
  uriTemplate: string
  complete?: Completers
  /** @returns undefined if no such resource exists for this caller. */
  read(variables: Variables, context: ReadContext): Promise<Contents | undefined>
}

export function defineResource(resource: Resource): Resource {
  return resource
}

export function defineResourceTemplate(template: ResourceTemplate): ResourceTemplate {
  return template
}

/** What a resource of type application/json contains. */
export const json = (value: Record<string, unknown>): Contents => ({ text: JSON.stringify(value) })
