/**
 * Bodies of any shape for whatever deletes: each is refused, nothing is deleted, and the process goes on
 * (in another project a malformed one ended it: CVE-2026-31949).
 */

import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { describeDatabases } from '../support/databases.ts'
import { keepConversation } from '../support/kept-conversation.ts'
import { startApp, type TestApp, type TestUser } from '../support/start-app.ts'
import { cookieOf, csrfTokenIn, signUp, type Visitor } from '../web/pages/visiting.ts'
import { bearer, post, toolCall } from './raw-mcp.ts'

const TYPES = [
  ...['application/x-www-form-urlencoded', 'application/json', 'text/plain', ''],
  ...['multipart/form-data; boundary=x', 'application/x-www-form-urlencoded; charset=utf-7'],
]
const NAMES = [
  'username',
  'password',
  'withdraw',
  'confirm',
  'csrf_token',
  'username[]',
  '__proto__',
]

const anyValue = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.constantFrom('', '%', '%00', '%ff', '\0', 'yes', 'a'.repeat(5_000), '[object Object]'),
)
/** The token first, so that most of them get as far as the route. */
const anyForm = (token: string) =>
  fc
    .array(fc.tuple(fc.constantFrom(...NAMES), anyValue), { maxLength: 6 })
    .map((fields) =>
      [['csrf_token', token] as const, ...fields]
        .map(([name, value]) => `${name}=${value.includes('%') ? value : safely(value)}`)
        .join('&'),
    )

const safely = (value: string) => encodeURIComponent(value.toWellFormed())

describeDatabases('what deletes', (kind) => {
  let app: TestApp
  let visitor: Visitor
  let user: TestUser
  let conversationId: string

  beforeAll(async () => {
    app = await startApp({ kind })
    visitor = await signUp(app)
    user = await app.register()
    conversationId = await keepConversation(app, user.userId, ['kept'], 'an answer')
  })
  afterAll(() => app.close())

  const stays = async () => {
    expect((await fetch(`${app.baseUrl}/livez`)).status).toBe(200)
    const users = await app.app.db.selectFrom('users').select('id').execute()
    expect(users.map(({ id }) => id).sort()).toEqual([visitor.userId, user.userId].sort())
    const kept = await app.app.repositories.conversationHeads.find(conversationId, user.userId)
    expect(kept?.messageCount).toBe(2)
    expect(app.errorLines()).toEqual([])
  }

  test.each(['/account/delete', '/account/conversations/:id/delete'])(
    'takes no malformed form at %s',
    async (pattern) => {
      const path = pattern.replace(':id', conversationId)
      const { html } = await visitor.browser.open('/account/data')
      const cookies = [...visitor.browser.cookies].map(([name, value]) => `${name}=${value}`)
      expect(cookieOf(visitor.browser, 'session').value).not.toBe('')
      const headers = { cookie: cookies.join('; '), origin: app.config.http.publicUrl }
      await fc.assert(
        fc.asyncProperty(
          fc.constantFrom(...TYPES),
          anyForm(csrfTokenIn(html)),
          async (type, body) => {
            const answer = await fetch(`${app.baseUrl}${path}`, {
              method: 'POST',
              redirect: 'manual',
              headers: { ...headers, 'content-type': type },
              body,
            })
            expect(answer.status).toBeGreaterThanOrEqual(400)
            expect(answer.status).toBeLessThan(500)
          },
        ),
        { numRuns: 60 },
      )
      await stays()
    },
  )

  test.each(['delete_my_account', 'delete_conversation'])(
    'takes no malformed arguments of %s',
    async (tool) => {
      const fields = fc.record(
        {
          password: fc.anything(),
          confirm: fc.oneof(fc.constant(user.username), fc.anything()),
          withdraw_messages: fc.anything(),
          conversation_id: fc.anything(),
        },
        { requiredKeys: [] },
      )
      const anyArguments = fc
        .oneof(fields, fc.anything())
        .map((value) => JSON.parse(JSON.stringify(value, withoutBigInts) ?? 'null'))
      await fc.assert(
        fc.asyncProperty(anyArguments, async (args) => {
          const answer = await post(
            app.url,
            toolCall('legacy', tool, args),
            bearer(user.accessToken),
          )
          expect(answer.status).toBeLessThan(500)
          const [message] = answer.messages
          expect(message?.result?.structuredContent?.success ?? false).toBe(false)
          expect(message?.result?.structuredContent?.error?.code).not.toBe('internal')
        }),
        { numRuns: 60 },
      )
      await stays()
    },
  )
})

const withoutBigInts = (_name: string, value: unknown) =>
  typeof value === 'bigint' ? String(value) : value
