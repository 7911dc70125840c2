/** The settings that change what is sent: the document's own, above all. */

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { startApp, type TestApp, type TestClient } from '../../support/start-app.ts'

let app: TestApp
let client: TestClient
let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gateway-prices-'))
  const pricesFile = join(folder, 'prices.json')
  const price = { input: 1, output: 4, cache_write_5m: 1, cache_write_1h: 1, cache_read: 1 }
  await writeFile(pricesFile, JSON.stringify([{ model: 'claude-sonnet-5-5', ...price }]))
  app = await startApp({
    kind: 'embedded',
    env: {
      CLAUDE_MODEL: 'claude-3-5-sonnet-20241022',
      RETIRED_MODELS: 'map',
      MAX_TOKENS: '77',
      TEMPERATURE: '0.4',
      PRICES_FILE: pricesFile,
    },
  })
  const { accessToken } = await app.register()
  client = await app.connect('legacy', accessToken)
})
beforeEach(() => app.claude.reset())
afterAll(async () => {
  await app.close()
  await rm(folder, { recursive: true })
})

const send = async (args: Record<string, unknown> = {}) =>
  (await client.call('send_message', { message: 'Hello.', ...args })).structured.data
const lastSent = () => app.claude.messageRequests().at(-1)

test('RETIRED_MODELS=map lets the document’s CLAUDE_MODEL live on as its successor', async () => {
  const data = await send()
  expect(data.model).toBe('claude-sonnet-5-5')
  expect(data.warnings).toEqual([
    'claude-3-5-sonnet-20241022 was retired by Anthropic on 2025-10-28; claude-sonnet-5-5 answered instead. Its price and behaviour differ.',
    'temperature was left out: claude-sonnet-5-5 takes none.',
  ])
  const { conversation_id } = data
  const { warnings } = await send({ conversation_id, model: 'sonnet' })
  expect(warnings).toHaveLength(1)
})

test('RETIRED_MODELS=map holds for a model that the caller names, within its own line', async () => {
  const data = await send({ model: 'claude-3-opus-20240229' })
  expect(data.model).toBe('claude-opus-5-5')
  expect(data.warnings[0]).toContain('claude-3-opus-20240229 was retired')
})

test('TEMPERATURE is for those who take one, and the caller’s wins', async () => {
  await send({ model: 'claude-sonnet-4-6' })
  expect(lastSent()?.json).toMatchObject({ temperature: 0.4 })
  expect(lastSent()?.headers['anthropic-version']).toBe('2023-06-01')
  await send({ model: 'claude-sonnet-4-6', temperature: 0.9 })
  expect(lastSent()?.json).toMatchObject({ temperature: 0.9 })
})

test('MAX_TOKENS is the default, and the caller’s wins', async () => {
  await send()
  expect(lastSent()?.json).toHaveProperty('max_tokens', 77)
  await send({ max_tokens: 5 })
  expect(lastSent()?.json).toHaveProperty('max_tokens', 5)
})

test('PRICES_FILE says what an answer costs', async () => {
  // 5 tokens in at 1 USD per million and 2 out at 4.
  expect(await send()).toMatchObject({
    usage: { input_tokens: 5, output_tokens: 2 },
    cost_usd: 0.000013,
  })
})
