/** A token that cannot be good is told what it is, at every place that takes one, and never repeated. */

import { generateKeyPairSync } from 'node:crypto'
import { SignJWT } from 'jose'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { eras, startApp, type TestApp, type TestUser } from '../../support/start-app.ts'
import { get, message, modern, post, toolCall } from '../posting.ts'

let app: TestApp
let user: TestUser
let foreign: string
beforeAll(async () => {
  app = await startApp({ kind: 'embedded' })
  user = await app.register()
  foreign = await new SignJWT({ scope: 'a' })
    .setProtectedHeader({ alg: 'EdDSA', kid: 'other' })
    .setIssuer('https://login.other.example')
    .setAudience(app.mcpUrl)
    .sign(generateKeyPairSync('ed25519').privateKey)
})
afterAll(() => app.close())

const SECRET = 'Zq7vN2cX9w'
const PERSONAL = `cag_${SECRET.repeat(4)}abc`

const OF_HEADER: [header: string, says: RegExp][] = [
  ['', /header is empty/],
  ['Bearer', /no token after the word Bearer.*variable/],
  [`"Bearer ${PERSONAL}"`, /header has quotes around it/],
  [PERSONAL, /lacks the word Bearer/],
  [`Bearer:${PERSONAL}`, /a space, and nothing else, between/],
  [`Bearer%20${PERSONAL}`, /a space, and nothing else, between/],
  [`Basic ${SECRET}`, /another scheme: it has to be the word Bearer/],
  [`Token ${PERSONAL}`, /another scheme/],
  [`Bearer Bearer ${PERSONAL}`, /the word Bearer once too often/],
  [`Bearer ${PERSONAL} ${SECRET}`, /has a space in it/],
]

const OF_TOKEN: [token: string, says: RegExp][] = [
  ['undefined', /a placeholder, or what a variable that is not set/],
  ['null', /a placeholder/],
  ['None', /a placeholder/],
  ['[object Object]', /a placeholder/],
  ['$GATEWAY_TOKEN', /a placeholder/],
  [`$${'{GATEWAY_TOKEN}'}`, /a placeholder/],
  ['{{token}}', /a placeholder/],
  ['<token>', /a placeholder/],
  ['YOUR_TOKEN_HERE', /a placeholder/],
  ['your-access-token', /a placeholder/],
  ['access_token', /a placeholder/],
  ['***', /a placeholder/],
  [`"${PERSONAL}"`, /quotes around it/],
  [`${PERSONAL}'`, /quotes around it/],
  ['cag_...', /cut off/],
  [`${PERSONAL},`, /a comma or semicolon behind it/],
  [`sk-ant-api03-${SECRET}`, /an Anthropic API key.*account page/],
  [`sk-proj-${SECRET}`, /a key of another service/],
  [`ghp_${SECRET}`, /a key of another service/],
  [PERSONAL.slice(0, -1), /not a whole personal access token, which has 47 characters/],
  [`${SECRET.repeat(4)}abc`, /a refresh token or an authorization code/],
  [`eyJ${SECRET}`, /begins as a signed token does, and is not whole/],
  [`eyJ${SECRET}.${SECRET}.${SECRET}`, /begins as a signed token does, and is not whole/],
]

const OTHERS: [token: string, says: RegExp][] = [
  [PERSONAL, /has expired, was revoked, or never was one/],
  [SECRET, /not valid here/],
]

describe.each(['mcp', 'open', 'export'] as const)('in the header, at %s', (place) => {
  const ask = (authorization: string) => {
    if (place === 'export') return get(`${app.baseUrl}/account/export`, { authorization })
    const url = place === 'mcp' ? app.mcpUrl : app.url
    return post(url, message('tools/list'), { authorization })
  }
  const cases = [
    ...OF_HEADER,
    ...[...OF_TOKEN, ...OTHERS].map(([token, says]) => [`Bearer ${token}`, says] as const),
  ]

  test.each(cases)('%j is told as what it is', async (header, says) => {
    const { status, json, text } = await ask(header)
    expect(status).toBe(401)
    expect(json.error.message).toMatch(says)
    expect(text).not.toContain(SECRET)
    expect(app.logLines.join('')).not.toContain(SECRET)
  })

  test('a token of another issuer is told as that', async () => {
    const { status, json, text } = await ask(`Bearer ${foreign}`)
    expect(status).toBe(401)
    expect(json.error.message).toContain('was issued by another server than this gateway')
    expect(text).not.toContain('other.example')
  })

  test('one that is longer than ours is told as that', async () => {
    const { json } = await ask(`Bearer ${SECRET.repeat(500)}`)
    expect(json.error.message).toContain('is longer than any token of this gateway')
  })

  test('a good token with a changed signature is none of these mistakes', async () => {
    const { json } = await ask(`Bearer ${user.accessToken.slice(0, -8)}AAAAAAAA`)
    expect(json.error.message).toContain('not valid here')
  })
})

describe.each(eras)('as the argument access_token, in the %s era', (era) => {
  const ask = (access_token: string) => {
    const plain = toolCall('get_conversations', { access_token })
    const { body, headers } = era === 'modern' ? modern(plain) : { body: plain, headers: {} }
    return post(app.url, body, headers)
  }

  test.each([
    ...OF_TOKEN,
    ...OTHERS,
    [`Bearer ${PERSONAL}`, /the word Bearer once too often/] as const,
    ['…', /a placeholder/] as const,
  ])('%j is told as what it is', async (token, says) => {
    const { status, json, text } = await ask(token)
    expect(status).toBe(200)
    const { error } = json.result.structuredContent
    expect(error).toMatchObject({ code: 'unauthenticated', message: expect.stringMatching(says) })
    expect(text).not.toContain(SECRET)
  })

  test('one that is longer than ours is not looked through', async () => {
    const claims = Buffer.from(`{"iss":"x","a":[${'{},'.repeat(50_000)}1]}`).toString('base64url')
    const { json } = await ask(`eyJ.${claims}.x`)
    const { message: words } = json.result.structuredContent.error
    expect(words).toContain('is longer than any token of this gateway')
  })

  test('a token of another issuer is told as that', async () => {
    const { json } = await ask(foreign)
    const { message: words } = json.result.structuredContent.error
    expect(words).toContain('was issued by another server than this gateway')
  })
})

test.each([
  [{ 'x-api-key': PERSONAL }, '', 'One in the header X-Api-Key is not read.'],
  [{}, `?access_token=${PERSONAL}`, 'One in the address is not read.'],
  [{}, '', 'This request needs an access token. '],
])('without the header: %j%s', async (headers, query, says) => {
  const { status, json, text } = await post(`${app.mcpUrl}${query}`, message('tools/list'), headers)
  expect(status).toBe(401)
  expect(json.error.message).toContain(says)
  expect(text).not.toContain(SECRET)
})

test('who is refused is told of tools by the names in the list', async () => {
  const messageAt = async (query: string) =>
    (await post(`${app.mcpUrl}${query}`, message('tools/list'))).json.error.message
  expect(await messageAt('')).toContain('where claude-api-gateway_register_user and')
  expect(await messageAt('?tools=short')).toContain('where register_user and')
})
