/**
 * JSON Schema without the keywords that some clients and model providers reject.
 *
 * Gemini accepts no string `format` but date-time, no `const` and no `propertyNames`; OpenAI no
 * lookahead in patterns; llama.cpp no very long strings. Omitting them is safe: arguments are
 * validated against the tool's full schema, not against the one shown.
 */

type Json = Record<string, unknown>

/** Some turn a length into a grammar with that many repetitions. */
const LONGEST_LENGTH_SHOWN = 2000

const IS_PORTABLE: Record<string, (value: unknown) => boolean> = {
  $schema: () => false,
  pattern: () => false,
  propertyNames: () => false,
  const: () => false,
  format: (format) => format === 'date-time',
  maxLength: (length) => Number(length) <= LONGEST_LENGTH_SHOWN,
  // Zod's defaults for any integer.
  minimum: (bound) => bound !== Number.MIN_SAFE_INTEGER,
  maximum: (bound) => bound !== Number.MAX_SAFE_INTEGER,
}

/** The schema and its subschemas, reduced to the keywords that all clients accept. */
export function portable(schema: Json): Json {
  const kept = Object.entries(schema).filter(([word, value]) => IS_PORTABLE[word]?.(value) ?? true)
  const { properties, items, anyOf, ...node } = Object.fromEntries(kept) as Json
  if (typeof schema.const === 'string') node.enum = [schema.const]
  if (isObject(properties)) node.properties = eachValue(properties, portableOrSame)
  if (isObject(items)) node.items = portable(items)
  if (Array.isArray(anyOf)) node.anyOf = anyOf.map(portableOrSame)
  return node
}

const portableOrSame = (schema: unknown) => (isObject(schema) ? portable(schema) : schema)

const eachValue = (fields: Json, change: (value: unknown) => unknown): Json =>
  Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, change(value)]))

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
