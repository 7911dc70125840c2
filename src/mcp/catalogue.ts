/** The tools with their schemas, converted to JSON Schema once at startup. */

import { z } from 'zod'
import { ERROR_CODES, type ErrorCode } from '../errors.ts'
import { accessTokenArgument, type Tool } from './definitions/tool.ts'
import { portable } from './portable-schema.ts'
import { tools } from './tools/index.ts'

export type JsonSchema = { type: 'object'; [keyword: string]: unknown }

export type CatalogueEntry = {
  tool: Tool
  /** The arguments, with `access_token` where a token is needed; unknown fields are refused. */
  input: z.ZodObject
  inputSchema: JsonSchema
  /** For clients with a token in the header: omits `access_token`, which is still accepted. */
  ownInputSchema: JsonSchema
  outputSchema: JsonSchema
}

const failure = z.object({
  code: z.enum(Object.keys(ERROR_CODES) as [ErrorCode, ...ErrorCode[]]),
  message: z.string(),
  retryable: z.boolean(),
  retry_after_seconds: z.number().int().optional(),
  details: z.record(z.string(), z.unknown()).optional(),
})

export type Catalogue = readonly CatalogueEntry[]

/** In the order of the tools. */
export const catalogueOf = (tools: readonly Tool[]): Catalogue => tools.map(toEntry)

/** The gateway's own tools, in the order clients see them. */
export const catalogue = catalogueOf(tools)

function toEntry(tool: Tool): CatalogueEntry {
  const own = z.strictObject(tool.input.shape)
  const input =
    tool.access === 'user'
      ? z.strictObject({ access_token: accessTokenArgument, ...tool.input.shape })
      : own
  return {
    tool,
    input,
    inputSchema: tool.listedInput ?? toJsonSchema(input, 'input'),
    ownInputSchema: tool.listedInput ?? toJsonSchema(own, 'input'),
    outputSchema: toJsonSchema(resultSchema(tool), 'output'),
  }
}

/** Success and failure in one object: clients validate both against the one output schema. */
function resultSchema(tool: Tool): z.ZodObject {
  const success = tool.rows ? tool.output.partial().shape : { data: tool.output.optional() }
  return z.object({ success: z.boolean(), ...success, error: failure.optional() })
}

/**
 * Omits `$schema`, which the two protocol eras default differently, and `additionalProperties:
 * false` on results, so that a client with a cached older list accepts fields added since.
 */
function toJsonSchema(schema: z.ZodObject, io: 'input' | 'output'): JsonSchema {
  const json = z.toJSONSchema(schema, {
    io,
    override: ({ jsonSchema }) => {
      if (io === 'output') delete jsonSchema.additionalProperties
    },
  })
  return portable(json) as JsonSchema
}
