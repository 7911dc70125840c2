/** Rules that hold for every tool and resource, present and future. */

import { readdirSync, readFileSync } from 'node:fs'
import { AjvJsonSchemaValidator } from '@modelcontextprotocol/sdk/validation/ajv'
import { describe, expect, test } from 'vitest'
import { USUAL_TOOL_PREFIX } from '../../src/config/tool-names.ts'
import { AppError, ERROR_CODES, type ErrorCode, toErrorBody } from '../../src/errors.ts'
import { catalogue } from '../../src/mcp/catalogue.ts'
import { resources } from '../../src/mcp/resources/index.ts'
import { tools } from '../../src/mcp/tools/index.ts'
import { createToolsets } from '../../src/mcp/toolset.ts'

type JsonSchema = {
  type?: string
  format?: string
  maxLength?: number
  description?: string
  properties?: Record<string, JsonSchema>
  items?: JsonSchema
  anyOf?: JsonSchema[]
  additionalProperties?: unknown
  required?: string[]
  enum?: unknown[]
}

const src = new URL('../../src/', import.meta.url)
const toolFolder = new URL('mcp/tools/', src)
/** In the folder of the tools, without being one. */
/** What several tools share, and the list. */
const NOT_TOOLS = [
  'index.ts',
  'issued-token.ts',
  'answer.ts',
  'budget.ts',
  'share.ts',
  'conversation.ts',
  'day.ts',
  'paid-by.ts',
  'usd-limit.ts',
]

const { usual } = createToolsets(USUAL_TOOL_PREFIX)
const { tools: list } = usual.listFor(null)
const entries = catalogue.map((entry, index) => ({
  ...entry,
  listed: list[index] as (typeof list)[number],
}))
const PORTABLE_WORDS = [
  ...['type', 'description', 'enum', 'default', 'format', 'anyOf'],
  ...['properties', 'required', 'additionalProperties', 'items', 'maxItems'],
  ...['minimum', 'maximum', 'minLength', 'maxLength'],
]

/** These and all within them. */
const schemasIn = (schemas: JsonSchema[]): JsonSchema[] =>
  schemas.flatMap((schema) => [
    schema,
    ...schemasIn([
      ...Object.values(schema.properties ?? {}),
      ...(schema.items ? [schema.items] : []),
      ...(schema.anyOf ?? []),
    ]),
  ])

const camelCase = (name: string) => name.replace(/_(.)/g, (_, letter) => letter.toUpperCase())
const accepts = (schema: object, value: unknown) =>
  new AjvJsonSchemaValidator().getValidator(schema as never)(value).valid

test('there is something to check, and no tool twice', () => {
  expect(tools.length).toBeGreaterThanOrEqual(8)
  expect(new Set(tools.map(({ name }) => name)).size).toBe(tools.length)
  expect(list).toHaveLength(tools.length)
})

test('the prefix stands in one place of the source', () => {
  const files = readdirSync(src, { recursive: true, encoding: 'utf8' })
  const naming = files.filter(
    (file) =>
      file.endsWith('.ts') && readFileSync(new URL(file, src), 'utf8').includes(USUAL_TOOL_PREFIX),
  )
  expect(naming).toEqual(['config/tool-names.ts'])
  expect(list.map(({ name }) => name)).toEqual(
    tools.map(({ name }) => `claude-api-gateway_${name}`),
  )
})

test('every tool file holds the one tool it is named after', async () => {
  const files = readdirSync(toolFolder).filter((file) => !NOT_TOOLS.includes(file))
  expect(files.sort()).toEqual(tools.map(({ name }) => `${name.replaceAll('_', '-')}.ts`).sort())
  for (const tool of tools) {
    const file = new URL(`${tool.name.replaceAll('_', '-')}.ts`, toolFolder)
    const exported = (await import(file.href)) as Record<string, unknown>
    expect(Object.keys(exported)).toContain(camelCase(tool.name))
    expect(exported[camelCase(tool.name)]).toBe(tool)
  }
})

describe.each(entries)('$tool.name', ({ tool, listed, input }) => {
  const inputSchema = listed.inputSchema as JsonSchema
  const outputSchema = listed.outputSchema as JsonSchema

  test('has a name that every client takes', () => {
    expect(tool.name).toMatch(/^[a-z]+(_[a-z]+)*$/)
    expect(listed.name.length).toBeLessThanOrEqual(64)
  })

  test('has a title and a description that say something and are read to the end', () => {
    expect(tool.title).toMatch(/^[A-Z].{2,40}$/)
    expect(tool.description.length).toBeGreaterThan(20)
    expect(tool.description.length).toBeLessThanOrEqual(300)
    expect(tool.description).toMatch(/\.$/)
  })

  test('describes every argument', () => {
    for (const [field, schema] of Object.entries(inputSchema.properties ?? {})) {
      expect(field).toMatch(/^[a-z]+(_[a-z]+)*$/)
      expect(schema.description, `${field} needs .describe()`).toMatch(/\.$/)
      expect(schema.description?.length).toBeLessThanOrEqual(250)
    }
  })

  test('gives hints that do not contradict one another', () => {
    const { readOnly, destructive, idempotent } = tool.hints
    expect(readOnly && destructive).toBe(false)
    if (readOnly) expect(idempotent, 'reading twice is reading once').toBe(true)
    if (tool.access === 'public' && !readOnly) expect(tool.limitedAs).toBeDefined()
    expect(listed.annotations).toEqual({
      title: tool.title,
      readOnlyHint: readOnly,
      destructiveHint: destructive,
      idempotentHint: idempotent,
      openWorldHint: tool.hints.openWorld,
    })
  })

  test('takes access_token where, and only where, a token is needed', () => {
    const names = Object.keys(inputSchema.properties ?? {})
    expect(names.includes('access_token')).toBe(tool.access === 'user')
    expect(inputSchema.required ?? []).not.toContain('access_token')
  })

  test('refuses unknown arguments, in its schema and when it is called', () => {
    expect(inputSchema).toMatchObject({ type: 'object', additionalProperties: false })
    const { error } = input.safeParse({ no_such_field: 1 })
    expect(error?.issues.map(({ code }) => code)).toContain('unrecognized_keys')
  })

  test('is described in words of JSON Schema that every client and model takes', () => {
    for (const schema of schemasIn([inputSchema, outputSchema])) {
      expect(Object.keys(schema).filter((word) => !PORTABLE_WORDS.includes(word))).toEqual([])
      expect(['date-time', undefined]).toContain(schema.format)
      expect(schema.maxLength ?? 0).toBeLessThanOrEqual(2000)
      // Gemini takes choices of text only.
      if (schema.enum) expect(schema.type).toBe('string')
    }
    for (const schema of schemasIn([inputSchema])) {
      expect(Array.isArray(schema.type), JSON.stringify(schema)).toBe(false)
    }
    const said = JSON.stringify([inputSchema, outputSchema])
    expect(said).not.toContain(String(Number.MAX_SAFE_INTEGER))
  })

  test('names no field and no choice after a tool, whose name is not the same everywhere', () => {
    const words = schemasIn([inputSchema, outputSchema]).flatMap(
      ({ properties = {}, enum: choices = [] }) => [...Object.keys(properties), ...choices],
    )
    for (const { name } of tools) expect(words).not.toContain(name)
  })

  test('leaves the dialect to the protocol and refuses no field of tomorrow', () => {
    expect(outputSchema.type).toBe('object')
    const json = JSON.stringify([inputSchema, outputSchema])
    expect(json).not.toContain('$schema')
    expect(JSON.stringify(outputSchema)).not.toContain('additionalProperties":false')
  })

  test('shows every failure', () => {
    for (const code of Object.keys(ERROR_CODES) as ErrorCode[]) {
      const extra = { retryAfterSeconds: 1, details: { field: 'x' } }
      expect(accepts(outputSchema, toErrorBody(new AppError(code, 'Why.'))), code).toBe(true)
      expect(accepts(outputSchema, toErrorBody(new AppError(code, 'Why.', extra))), code).toBe(true)
    }
  })

  test('refuses a success of another shape', () => {
    const rows = tool.rows ? { [tool.rows]: 'none' } : { data: 'none' }
    expect(accepts(outputSchema, { success: true, ...rows })).toBe(false)
    expect(accepts(outputSchema, { data: {} })).toBe(false)
    expect(accepts(outputSchema, { success: false, error: { code: 'no_such_code' } })).toBe(false)
  })
})

test.each([...resources])('resource $name is named and described', (resource) => {
  expect(resource.uri).toMatch(/^mcp:\/\/claude-api-gateway\/[a-z]+$/)
  expect(resource.uri.endsWith(`/${resource.name}`)).toBe(true)
  expect(resource.title).toMatch(/^[A-Z]/)
  expect(resource.description).toMatch(/\.$/)
})
