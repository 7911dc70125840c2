/**
 * What is documented of the discovery documents, for the fields that the gateway publishes, in our
 * own words: the MCP registry's server.json (schema 2025-12-11), the server card (SEP-2127, schema
 * v1) and the AI Catalog (specification 1.0). Stricter than the originals, which allow more fields.
 */

import { Ajv } from 'ajv'
import formats from 'ajv-formats'

const ajv = new Ajv({ strict: true, allErrors: true })
formats.default(ajv)

const text = { type: 'string', minLength: 1 }
const uri = { type: 'string', format: 'uri' }

const object = (required: Record<string, object>, optional: Record<string, object> = {}) => ({
  type: 'object',
  additionalProperties: false,
  required: Object.keys(required),
  properties: { ...required, ...optional },
})

const listOf = (items: object) => ({ type: 'array', minItems: 1, items })

const icon = object({
  src: { ...uri, maxLength: 255 },
  mimeType: { enum: ['image/png', 'image/jpeg', 'image/svg+xml', 'image/webp'] },
  sizes: listOf({ type: 'string', pattern: '^(\\d+x\\d+|any)$' }),
})

const identity = {
  /** Reverse-DNS, and exactly one slash. */
  name: {
    type: 'string',
    minLength: 3,
    maxLength: 200,
    pattern: '^[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+$',
  },
  title: { ...text, maxLength: 100 },
  description: { ...text, maxLength: 100 },
  /** One version: the registry refuses ranges. */
  version: { type: 'string', pattern: '^\\d+\\.\\d+\\.\\d+(-[a-z0-9.]+)?$' },
}

const variable = object(
  { description: text, isRequired: { type: 'boolean' } },
  { placeholder: text },
)

export const isServerJson = ajv.compile(
  object({
    $schema: {
      const: 'https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json',
    },
    ...identity,
    remotes: listOf(
      object({
        type: { const: 'streamable-http' },
        url: { type: 'string', format: 'uri-template' },
        variables: { type: 'object', required: [], additionalProperties: variable },
      }),
    ),
  }),
)

export const isServerCard = ajv.compile(
  object({
    $schema: { const: 'https://static.modelcontextprotocol.io/schemas/v1/server-card.schema.json' },
    ...identity,
    websiteUrl: uri,
    icons: listOf(icon),
    remotes: listOf(
      object({
        type: { const: 'streamable-http' },
        url: { type: 'string', pattern: '^https?://[^\\s]+$' },
        supportedProtocolVersions: listOf({ type: 'string', format: 'date' }),
      }),
    ),
  }),
)

export const isAiCatalog = ajv.compile(
  object({
    specVersion: { const: '1.0' },
    entries: listOf(
      object({
        /** urn:air:{publisher}:{namespace}:{name} */
        identifier: { type: 'string', pattern: '^urn:air:[a-z0-9.-]+:mcp:[a-z0-9-]+$' },
        type: { const: 'application/mcp-server-card+json' },
        url: uri,
      }),
    ),
  }),
)
