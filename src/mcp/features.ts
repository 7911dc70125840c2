/** What is served over MCP, and which part of it a request names. */

import { UriTemplate } from '@modelcontextprotocol/server'
import type { Scope } from '../services/access/scopes.ts'
import type { Prompt } from './definitions/prompt.ts'
import type {
  Completers,
  Contents,
  ReadContext,
  Resource,
  ResourceTemplate,
} from './definitions/resource.ts'
import type { OptionalFeature, Tool } from './definitions/tool.ts'
import { prompts } from './prompts/index.ts'
import { resources, resourceTemplates } from './resources/index.ts'
import { tools } from './tools/index.ts'

export type Features = {
  tools: readonly Tool[]
  resources: readonly Resource[]
  resourceTemplates: readonly ResourceTemplate[]
  prompts: readonly Prompt[]
  /** Further methods, and the capabilities that declare them. */
  more?: {
    capabilities: Capabilities
    methods: Readonly<Record<string, () => object>>
    /** Throws for a `requestState` that this server did not give. */
    verifyState(state: string): void
  }
}

type Capabilities = { logging?: Record<string, never>; resources?: { subscribe: boolean } }

export const GATEWAY_FEATURES: Features = { tools, resources, resourceTemplates, prompts }

/** The gateway's own, without the tools of what the operator has switched off. */
export const featuresWithout = (off: OptionalFeature): Features => ({
  ...GATEWAY_FEATURES,
  tools: tools.filter(({ feature }) => feature !== off),
})

/** Whether values of an argument or variable are proposed anywhere. */
export const isAnyCompleted = ({ prompts, resourceTemplates }: Features) =>
  [...prompts, ...resourceTemplates].some(({ complete }) => complete !== undefined)

/** A resource that a URI names, by itself or by a template. */
type FoundResource = Pick<Resource, 'scope' | 'mimeType'> & {
  read(context: ReadContext): Promise<Contents | undefined>
}

type Completable = { scope: Scope; complete?: Completers }

export type FeatureFinder = ReturnType<typeof createFinder>

export function createFinder({ resources, resourceTemplates, prompts }: Features) {
  const templates = resourceTemplates.map((template) => ({
    template,
    uris: new UriTemplate(template.uriTemplate),
  }))
  const findPrompt = (name: unknown) => prompts.find((prompt) => prompt.name === name)
  const findResource = (uri: unknown): FoundResource | undefined => {
    const resource = resources.find((resource) => resource.uri === uri)
    if (resource || typeof uri !== 'string') return resource
    for (const { template, uris } of templates) {
      const variables = uris.match(uri)
      if (variables) return fromTemplate(template, variables)
    }
    return undefined
  }
  const findCompletable = (ref: unknown): Completable | undefined => {
    const { type, name, uri } = Object(ref) as Record<string, unknown>
    if (type === 'ref/prompt') return findPrompt(name)
    if (type !== 'ref/resource') return undefined
    return resourceTemplates.find(({ uriTemplate }) => uriTemplate === uri)
  }
  /** The scope that a request requires; undefined if it names none of these. */
  const scopeOf = (method: unknown, params: Record<string, unknown>): Scope | undefined => {
    if (method === 'resources/read') return findResource(params.uri)?.scope
    if (method === 'prompts/get') return findPrompt(params.name)?.scope
    if (method === 'completion/complete') return findCompletable(params.ref)?.scope
    return undefined
  }
  return { findPrompt, findResource, findCompletable, scopeOf }
}

/** The values of variables arrive percent-encoded; a broken encoding names no resource. */
function fromTemplate(
  { scope, mimeType, read }: ResourceTemplate,
  matched: Record<string, string | string[]>,
): FoundResource | undefined {
  try {
    const decoded = Object.entries(matched).map(([name, value]) => [
      name,
      decodeURIComponent(String(value)),
    ])
    const variables = Object.fromEntries(decoded)
    return { scope, mimeType, read: (context) => read(variables, context) }
  } catch {
    return undefined
  }
}

/** The methods that only a signed-in caller may use. */
export const NEEDS_CALLER: ReadonlySet<string> = new Set([
  'resources/read',
  'prompts/get',
  'completion/complete',
])
