/**
 * The tools as one client sees them: their names, and which ones it may use.
 *
 * A tool can be called by its listed name, by the documented name and by the name without a prefix,
 * whichever of them the list shows.
 */

import { USUAL_TOOL_PREFIX } from '../config/tool-names.ts'
import type { Caller } from '../services/access/caller.ts'
import { type Catalogue, type CatalogueEntry, catalogue, type JsonSchema } from './catalogue.ts'
import type { Tool } from './definitions/tool.ts'
import { INSTRUCTIONS } from './protocol/instructions.ts'

type ListedTool = {
  name: string
  title: string
  description: string
  inputSchema: JsonSchema
  /** Absent for a tool of content. */
  outputSchema?: JsonSchema
  annotations: Record<string, boolean | string>
}

export type Toolset = {
  /** Instructions sent to a client when it connects. */
  instructions: string
  find(name: string): CatalogueEntry | undefined
  /** With a token in the header, the tools that it allows; otherwise all. */
  listFor(caller: Caller | null): { tools: ListedTool[] }
  /** Rewrites the tool names in one of the gateway's own texts as the list shows them. */
  worded(text: string): string
}

/** The names with the operator's prefix, or without any, as the client asked. */
export type Toolsets = { usual: Toolset; short: Toolset }

/** @param entries the tools that are served. */
export function createToolsets(prefix: string, entries: Catalogue = catalogue): Toolsets {
  const byName = new Map(
    ['', USUAL_TOOL_PREFIX, prefix].flatMap((each) =>
      entries.map((entry) => [each + entry.tool.name, entry]),
    ),
  )
  const find = (name: string) => byName.get(name)
  return {
    usual: createToolset(prefix, entries, find),
    short: createToolset('', entries, find),
  }
}

function createToolset(prefix: string, entries: Catalogue, find: Toolset['find']): Toolset {
  const worded = wordingWith(prefix, entries)
  const listed = entries.map((entry) => ({
    tool: entry.tool,
    ...listings(entry, prefix, worded),
  }))
  const all = { tools: listed.map(({ full }) => full) }
  return {
    instructions: worded(INSTRUCTIONS),
    find,
    worded,
    listFor: (caller) => {
      if (caller === null) return all
      const allowed = listed.filter(({ tool }) => isAllowed(tool, caller))
      return { tools: allowed.map(({ own }) => own) }
    },
  }
}

const isAllowed = ({ scope, alsoNeeds = [], onlyWith }: Tool, { scopes, kind }: Caller) =>
  (scope === undefined || scopes.includes(scope)) &&
  alsoNeeds.every((needed) => scopes.includes(needed)) &&
  (onlyWith === undefined || onlyWith === kind)

function listings({ tool, ...schemas }: CatalogueEntry, prefix: string, worded: Toolset['worded']) {
  const wordedSchema = (schema: JsonSchema): JsonSchema =>
    JSON.parse(worded(JSON.stringify(schema)))
  const full: ListedTool = {
    name: prefix + tool.name,
    title: tool.title,
    description: worded(tool.description),
    inputSchema: wordedSchema(schemas.inputSchema),
    ...(tool.isContent ? {} : { outputSchema: wordedSchema(schemas.outputSchema) }),
    annotations: {
      title: tool.title,
      readOnlyHint: tool.hints.readOnly,
      destructiveHint: tool.hints.destructive,
      idempotentHint: tool.hints.idempotent,
      openWorldHint: tool.hints.openWorld,
    },
  }
  return { full, own: { ...full, inputSchema: wordedSchema(schemas.ownInputSchema) } }
}

/** The gateway's own texts name tools without a prefix. */
function wordingWith(prefix: string, entries: Catalogue): Toolset['worded'] {
  if (prefix === '') return (text) => text
  const names = entries.map(({ tool }) => tool.name).join('|')
  const named = new RegExp(`(?<![\\w-])(?:${names})(?![\\w-])`, 'g')
  return (text) => text.replace(named, (name) => prefix + name)
}
