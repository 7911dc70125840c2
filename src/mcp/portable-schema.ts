/**
 * JSON Schema without the words that some clients and models' makers refuse.
 *
 * Gemini takes no `format` of text but date-time, no `const` and no `propertyNames`; OpenAI no pattern
 * that looks ahead; llama.cpp no text that may be very long. Nothing gets in by leaving them out:
 * arguments are held against the tool's own rules, whatever was shown of these.
 */

type Json = Record<string, unknown>

/** What some turn into a grammar of so many repetitions. */
const LONGEST_LENGTH_SHOWN = 2000

const IS_PORTABLE: Record<string, (value: unknown) => boolean> = {
  $schema: () => false,
  pattern: () => false,
  propertyNames: () => false,
  const: () => false,
  format: (format) => format === 'date-time',
  maxLength: (length) => Number(length) <= LONGEST_LENGTH_SHOWN,
  // Of any whole number.
  minimum: (bound) => bound !== Number.MIN_SAFE_INTEGER,
  maximum: (bound) => bound !== Number.MAX_SAFE_INTEGER,
}

/** The schema, and all within it, as far as everybody takes them. */
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
