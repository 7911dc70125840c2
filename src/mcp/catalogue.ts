/** The tools as `tools/list` shows them. Schemas are turned into JSON Schema once, at start. */

import { z } from 'zod'
import { ERROR_CODES, type ErrorCode } from '../errors.ts'
import { accessTokenArgument, TOOL_PREFIX, type Tool } from './tool.ts'
import { tools } from './tools/index.ts'

export type CatalogueEntry = {
  tool: Tool
  /** The arguments, with `access_token` where a token is needed; unknown fields are refused. */
  input: z.ZodObject
  listed: {
    name: string
    title: string
    description: string
    inputSchema: { type: 'object'; [keyword: string]: unknown }
    outputSchema: { type: 'object'; [keyword: string]: unknown }
    annotations: Record<string, boolean | string>
  }
}

const failure = z.object({
  code: z.enum(Object.keys(ERROR_CODES) as [ErrorCode, ...ErrorCode[]]),
  message: z.string(),
  retryable: z.boolean(),
  retry_after_seconds: z.number().int().optional(),
  details: z.record(z.string(), z.unknown()).optional(),
})

/** By name on the wire. */
export const catalogue: ReadonlyMap<string, CatalogueEntry> = new Map(
  tools.map((tool) => [TOOL_PREFIX + tool.name, toEntry(tool)]),
)

function toEntry(tool: Tool): CatalogueEntry {
  const input = z.strictObject({
    ...(tool.access === 'user' ? { access_token: accessTokenArgument } : {}),
    ...tool.input.shape,
  })
  return {
    tool,
    input,
    listed: {
      name: TOOL_PREFIX + tool.name,
      title: tool.title,
      description: tool.description,
      inputSchema: toJsonSchema(input, 'input'),
      outputSchema: toJsonSchema(resultSchema(tool), 'output'),
      annotations: {
        title: tool.title,
        readOnlyHint: tool.hints.readOnly,
        destructiveHint: tool.hints.destructive,
        idempotentHint: tool.hints.idempotent,
        openWorldHint: tool.hints.openWorld,
      },
    },
  }
}

/** Success and failure in one object: clients hold both against the one output schema. */
function resultSchema(tool: Tool): z.ZodObject {
  const success = tool.rows ? tool.output.partial().shape : { data: tool.output.optional() }
  return z.object({ success: z.boolean(), ...success, error: failure.optional() })
}

/**
 * Without `$schema`, which the two protocol eras default differently, and without
 * `additionalProperties: false` on results, so that a client with yesterday's list accepts a
 * field that is new today.
 */
function toJsonSchema(schema: z.ZodObject, io: 'input' | 'output') {
  const { $schema: _, ...json } = z.toJSONSchema(schema, {
    io,
    override: ({ jsonSchema }) => {
      if (io === 'output') delete jsonSchema.additionalProperties
    },
  })
  return json as { type: 'object'; [keyword: string]: unknown }
}
