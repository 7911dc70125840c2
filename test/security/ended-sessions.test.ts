/** Ended means ended: whatever a session began to ask for does not happen once it has ended. */

import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Caller } from '../../src/services/access/caller.ts'
import { beginForm } from '../http/slow-form.ts'
import { describeDatabases } from '../support/databases.ts'
import { startOAuthApp } from '../support/oauth-app.ts'
import { createFlow, type OAuthFlow } from '../support/oauth-flow.ts'
import { browserSession } from '../support/signed-up.ts'
import type { TestApp } from '../support/start-app.ts'
import { csrfTokenIn, PASSWORD, signIn } from '../web/pages/visiting.ts'
import { type ConnectedUser, newConnectedUser } from './connected-user.ts'

const DAY_MS = 86_400_000
const NEW_PASSWORD = 'another one that is long'
const NEW_KEY = 'sk-ant-api03-of-whoever-was-late'

describeDatabases('a session that has ended', (kind) => {
  let app: TestApp
  let flow: OAuthFlow
  let user: ConnectedUser
  let caller: Caller
  beforeAll(async () => {
    app = await startOAuthApp({ kind })
    flow = createFlow(app.baseUrl)
  })
  afterAll(() => app.close())
  beforeEach(async () => {
    user = await newConnectedUser(app, flow)
    caller = await browserSession(app, user.userId)
  })

  const services = () => app.app.services

  /** Everything that a late effect could have changed. */
  async function stateOf(userId: string) {
    const { db } = app.app
    const count = async (table: 'conversations' | 'messages' | 'oneTimeLinks' | 'budgets') =>
      (await db.selectFrom(table).selectAll().where('userId', '=', userId).execute()).length
    const live = await app.app.repositories.sessions.listLive(userId, 100)
    const { passwordHash } = await db
      .selectFrom('users')
      .select('passwordHash')
      .where('id', '=', userId)
      .executeTakeFirstOrThrow()
    return {
      live: live.map(({ id }) => id).sort(),
      key: (await app.app.repositories.apiKeys.findStatus(userId))?.lastFour,
      passwordHash,
      conversations: await count('conversations'),
      messages: await count('messages'),
      links: await count('oneTimeLinks'),
      budgets: await count('budgets'),
    }
  }

  const usd = { nanoUsd: 5_000_000_000n, tokens: null }
  const signal = new AbortController().signal
  const wait = { waitSeconds: 30, signal }

  /** What a caller may ask for that changes something. */
  const effects: [string, (late: Caller) => Promise<unknown>][] = [
    [
      'makes no personal token',
      (late) => {
        const expiresAt = new Date(Date.now() + DAY_MS)
        return services().personalTokens.create(late, {
          name: 'late',
          scopes: ['account'],
          expiresAt,
        })
      },
    ],
    ['stores no Anthropic key', (late) => services().accounts.replaceKey(late, NEW_KEY)],
    ['removes no Anthropic key', (late) => services().accounts.removeKey(late)],
    ['gets no link to the key page', (late) => services().keyLinks.create(late, 'account')],
    ['sets no budget', (late) => services().budgetSettings.set(late, undefined, 'day', usd)],
    ['removes no budget', (late) => services().budgetSettings.set(late, undefined, 'month', null)],
    ['is not rotated', (late) => services().sessions.rotate({ ...late, kind: 'password' })],
    ['ends no other session', (late) => services().sessions.revokeOne(late, caller.sessionId)],
    ['does not end all sessions', (late) => services().sessions.revokeAll(late)],
    [
      'changes no password',
      (late) => {
        const passwords = { currentPassword: PASSWORD, newPassword: NEW_PASSWORD }
        return services().accounts.changePassword(late, passwords)
      },
    ],
    ['deletes no account', (late) => services().accounts.delete(late, PASSWORD)],
    [
      'sends no message',
      (late) => services().messages.send(late, { message: 'late', thinking: 'off' }, wait),
    ],
    [
      'sends no message with a key of its own',
      (late) => {
        const input = { message: 'late', thinking: 'off' as const, idempotencyKey: 'late' }
        return services().messages.send(late, input, wait)
      },
    ],
  ]

  test.each(effects)('%s', async (_, effect) => {
    await services().budgetSettings.set(caller, undefined, 'month', usd)
    const late = await browserSession(app, user.userId)
    await services().sessions.revoke(late)
    const before = await stateOf(user.userId)
    const asked = app.claude.messageRequests().length
    await expect(effect(late)).rejects.toMatchObject({ code: 'unauthenticated' })
    expect(await stateOf(user.userId)).toEqual(before)
    expect(app.claude.messageRequests()).toHaveLength(asked)
  })

  test('reads, stops and repeats no answer', async () => {
    const input = { message: 'kept', thinking: 'off' as const, idempotencyKey: 'kept' }
    const { messageId: id } = await services().messages.send(caller, input, wait)
    const late = await browserSession(app, user.userId)
    await services().sessions.revoke(late)
    const refused = { code: 'unauthenticated' }
    await expect(services().answers.get(late, id, wait)).rejects.toMatchObject(refused)
    await expect(services().answers.cancel(late, id, signal)).rejects.toMatchObject(refused)
    await expect(services().messages.send(late, input, wait)).rejects.toMatchObject(refused)
  })

  describe('while its form was on its way', () => {
    const endEverything = async () => {
      const owner = user.browser.clone()
      await owner.open('/account/connections')
      await owner.submit('/account/connections/end-all')
    }
    const changePassword = async () => {
      const owner = await browserSession(app, user.userId)
      const passwords = { currentPassword: PASSWORD, newPassword: NEW_PASSWORD }
      await services().accounts.changePassword(owner, passwords)
    }

    const forms: [string, string, [string, string][]][] = [
      [
        'a personal token',
        '/account/tokens',
        [
          ['name', 'for a year'],
          ['days', '365'],
          ['permissions', 'messages:send'],
        ],
      ],
      ['an Anthropic key', '/account/key', [['key', NEW_KEY]]],
      ['the end of the Anthropic key', '/account/key/remove', []],
      ['a limit', '/account/usage', [['daily_limit', '1']]],
      ['an export', '/account/export', []],
      [
        'a new password',
        '/account/password',
        [
          ['current_password', PASSWORD],
          ['new_password', 'a third one that is long'],
        ],
      ],
    ]

    test.each(forms)('does nothing: %s', async (_, path, fields) => {
      const { browser } = user
      await browser.open(path === '/account/export' ? '/account/data' : path.replace('/remove', ''))
      const finish = await beginForm(app.baseUrl, browser, path, fields)
      await endEverything()
      const before = await stateOf(user.userId)
      const { status, location, text } = await finish()
      expect([status, location]).toEqual([303, expect.stringMatching(/^\/sign-in/)])
      expect(text).not.toContain('cag_')
      expect(await stateOf(user.userId)).toEqual(before)
    })

    test('makes no connection, when everything ends or the password changes', async () => {
      for (const end of [endEverything, changePassword]) {
        const asked = flow.authorization(await flow.newClient())
        const { browser } = user
        const { url } = await browser.open(asked.url)
        const finish = await beginForm(app.baseUrl, browser, url.pathname, [
          ['days', '365'],
          ['limit', ''],
          ['permissions', 'messages:send'],
          ['decision', 'approve'],
        ])
        await end()
        const before = await stateOf(user.userId)
        const { status, location } = await finish()
        expect([status, location]).toEqual([303, expect.stringMatching(/^\/sign-in/)])
        expect(await stateOf(user.userId)).toEqual(before)
        await signIn(browser, user.username)
      }
    })

    test('does what it says when nothing has ended, however late', async () => {
      await user.browser.open('/account/tokens')
      expect(csrfTokenIn(user.browser.page.html)).not.toBe('')
      const finish = await beginForm(
        app.baseUrl,
        user.browser,
        '/account/tokens',
        forms[0]?.[2] ?? [],
      )
      const { status, text } = await finish()
      expect(status).toBe(201)
      expect(text).toContain('cag_')
    })
  })
})
