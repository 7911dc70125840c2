/** The parts of the account. */

import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { browserSession } from '../../../support/signed-up.ts'
import { startApp, type TestApp } from '../../../support/start-app.ts'
import { browserOf, cookieOf, PASSWORD, signIn, signUp, type Visitor } from '../visiting.ts'

let app: TestApp
let ada: Visitor
beforeAll(async () => {
  app = await startApp({ kind: 'embedded', env: { PUBLIC_URL: 'https://gateway.example' } })
  ada = await signUp(app)
})
afterAll(() => app.close())

const newKey = (lastFour: string) => `sk-ant-api03-${randomBytes(8).toString('hex')}${lastFour}`

/** Whether the form that goes there is out of sight until it is asked for. */
const asks = (html: string, action: string) =>
  [...html.matchAll(/<details class="ask">.*?<\/details>/gs)].some(([text]) =>
    text.includes(`action="${action}"`),
  )

/** With a token of authenticate_user. */
const connect = async ({ username }: Visitor, password = PASSWORD) => {
  const { accessToken } = await app.app.services.accounts.authenticate(username, password)
  return app.connect('modern', accessToken)
}

async function callerOf({ browser }: Visitor) {
  const { value } = cookieOf(browser, 'session')
  const caller = await app.app.services.sessions.findBrowserSession(value)
  if (!caller) throw new Error('not signed in')
  return caller
}

describe('the Anthropic key', () => {
  test('is tested when it is saved, replaced and removed, and shown by its last four only', async () => {
    const { browser } = await signUp(app)
    await browser.open('/account/key')
    const key = newKey('1111')
    const saved = await browser.submit('/account/key', { key: ` ${key} ` })
    expect(saved.text).toContain('••••1111')
    expect(saved.html).not.toContain(key)
    expect(app.claude.journal.some((entry) => entry.path.startsWith('/v1/models'))).toBe(true)
    expect((await browser.open('/account/key')).html).not.toContain(key)
    const replaced = await browser.submit('/account/key', { key: newKey('2222') })
    expect(replaced.text).toContain('••••2222')
    expect(asks(replaced.html, '/account/key/remove')).toBe(true)
    const removed = await browser.submit('/account/key/remove')
    expect(removed.text).toContain('Your Anthropic key is removed.')
    expect(removed.text).not.toContain('••••')
  })

  test.each([
    ['nothing', '', 422],
    ['an Admin key', 'sk-ant-admin01-abc', 400],
    ['one that Anthropic refuses', 'sk-ant-api03-wrong', 400],
  ])('%s is said beside the field, and not shown again', async (_name, key, status) => {
    app.claude.setValidKeys([])
    try {
      await ada.browser.open('/account/key')
      const page = await ada.browser.submit('/account/key', { key })
      expect(page.status).toBe(status)
      expect(page.html).toMatch(/id="field-key-error">[^<]+/)
      expect(page.html).toMatch(/<input id="field-key"[^>]*autocomplete="off"/)
      if (key !== '') expect(page.html).not.toContain(key)
    } finally {
      app.claude.setValidKeys(undefined)
    }
  })
})

describe('a one-time link to the key page', () => {
  const linkFor = async ({ userId }: Visitor) => {
    const caller = await browserSession(app, userId)
    const { url } = await app.app.services.keyLinks.create(caller, 'account')
    return new URL(url).pathname + new URL(url).search
  }

  test('leads its user through sign-in to the key, once', async () => {
    const { username, ...visitor } = await signUp(app)
    const link = await linkFor({ username, ...visitor })
    const browser = browserOf(app)
    expect((await browser.open(link)).url.pathname).toBe('/sign-in')
    const page = await browser.submit('/sign-in', { username, password: PASSWORD })
    expect(page.url.pathname + page.url.search).toBe(link)
    const saved = await browser.submit('/account/key', { key: newKey('3333') })
    expect(saved.text).toContain('Go back to your client and try again.')
    const again = await browser.open(link)
    expect(again.status).toBe(403)
    expect(again.text).toContain('It was used already, has expired, or was made for another user.')
    expect(again.html).toContain('<a href="/account/key">')
    expect(again.text).not.toContain('not for you')
  })

  test('says to another user that it is not theirs, and stores nothing', async () => {
    const [owner, other] = [await signUp(app), await signUp(app)]
    const link = await linkFor(owner)
    const page = await other.browser.open(link)
    expect(page.status).toBe(403)
    expect(page.text).toContain('made for another user')
    expect(page.text).toContain(other.username)
    expect(page.text).not.toContain(owner.username)
    await other.browser.open('/account/key')
    const forced = await other.browser.submit('/account/key', {
      key: newKey('4444'),
      link: new URLSearchParams(link.split('?')[1]).get('link'),
    })
    expect(forced.status).toBe(403)
    const { accounts } = app.app.services
    expect(await accounts.keyStatus(owner.userId)).toBeNull()
    expect(await accounts.keyStatus(other.userId)).toBeNull()
    expect((await owner.browser.open(link)).status).toBe(200)
  })
})

describe('connections and sessions', () => {
  test('are listed; one that is ended stops at once', async () => {
    const visitor = await signUp(app)
    const { browser } = visitor
    const client = await connect(visitor)
    expect((await client.call('get_conversations')).isError).toBe(false)
    const page = await browser.open('/account/connections')
    expect(page.text).toContain('This browser')
    expect(page.text).toContain('Token of authenticate_user')
    const sessions = await app.app.services.sessions.list(await callerOf(visitor))
    const token = sessions.find(({ kind }) => kind === 'password')
    const ended = await browser.submit(`/account/connections/${token?.id}/end`)
    expect(ended.text).toContain('Ended.')
    expect(ended.text).not.toContain('Token of authenticate_user')
    await expect(client.call('get_conversations')).rejects.toThrow()
  })

  test("another user's cannot be ended", async () => {
    const other = await signUp(app)
    const caller = await callerOf(other)
    await ada.browser.open('/account/connections')
    const [form] = ada.browser.forms()
    for (const id of [caller.sessionId, 'not-a-uuid', "1' or '1'='1"]) {
      const page = await ada.browser.post(
        `/account/connections/${encodeURIComponent(id)}/end`,
        form?.fields ?? [],
      )
      expect(page.status).toBe(404)
    }
    expect((await other.browser.open('/account')).url.pathname).toBe('/account')
  })

  test('all end together, this browser too', async () => {
    const visitor = await signUp(app)
    const client = await connect(visitor)
    const second = browserOf(app)
    await signIn(second, visitor.username)
    await visitor.browser.open('/account/connections')
    const { html } = visitor.browser.page
    expect(asks(html, '/account/connections/end-all')).toBe(true)
    const page = await visitor.browser.submit('/account/connections/end-all')
    expect(page.url.pathname).toBe('/sign-in')
    expect(page.text).toContain('All sessions have ended')
    expect((await second.open('/account')).url.pathname).toBe('/sign-in')
    await expect(client.call('get_conversations')).rejects.toThrow()
  })
})

describe('personal access tokens', () => {
  test('one is shown once, works within its permissions, and ends', async () => {
    const { browser } = await signUp(app)
    await browser.open('/account/tokens')
    const hostile = '<img src=x onerror=alert(1)>'
    const created = await browser.submit('/account/tokens', {
      name: hostile,
      days: '7',
      permissions: ['conversations:read'],
    })
    expect(created.status).toBe(201)
    expect(created.html).not.toContain('<img src=x')
    const token = /cag_[\w-]{43}/.exec(created.text)?.[0] ?? ''
    expect(created.text).toContain(
      `claude mcp add --transport http claude https://gateway.example/mcp --header "Authorization: Bearer ${token}"`,
    )
    const caller = await app.app.services.sessions.resolve(token)
    expect(caller).toMatchObject({ kind: 'personal', scopes: ['conversations:read'] })
    const list = await browser.open('/account/tokens')
    expect(list.html).not.toContain(token)
    expect(list.text).toContain(hostile)
    const ended = await browser.submit(`/account/tokens/${caller.sessionId}/end`)
    expect(ended.text).toContain('You have none.')
    await expect(app.app.services.sessions.resolve(token)).rejects.toMatchObject({
      code: 'unauthenticated',
    })
  })

  test('sending the form again makes no second one of the same name', async () => {
    const { browser } = await signUp(app)
    const wanted = { name: 'Build server', days: '7', permissions: ['usage:read'] }
    await browser.open('/account/tokens')
    expect((await browser.submit('/account/tokens', wanted)).status).toBe(201)
    await browser.open('/account/tokens')
    const again = await browser.submit('/account/tokens', wanted)
    expect(again.status).toBe(400)
    expect(again.html).toMatch(/id="field-name-error">You have a token by this name\./)
    expect(again.text).not.toContain('cag_')
    expect(browser.forms().filter(({ action }) => action.endsWith('/end'))).toHaveLength(1)
  })

  test('what is wrong is said beside it, and the rest stays', async () => {
    await ada.browser.open('/account/tokens')
    const page = await ada.browser.submit('/account/tokens', {
      name: '',
      days: '365000',
      permissions: [],
    })
    expect(page.status).toBe(422)
    expect(page.html).toContain('id="field-name-error"')
    expect(page.html).toContain('id="field-permissions-error"')
    expect(page.text).toContain('The days must be one of the choices.')
    expect(page.text).toContain('Choose at least one permission.')
    expect(page.html).not.toMatch(/type="checkbox"[^>]*checked/)
  })
})

describe('the password', () => {
  test('is changed with the old one, and everything else that was signed in ends', async () => {
    const visitor = await signUp(app)
    const client = await connect(visitor)
    await visitor.browser.open('/account/password')
    const wrong = await visitor.browser.submit('/account/password', {
      current_password: 'not this one',
      new_password: 'another good password',
    })
    expect(wrong.html).toMatch(/id="field-current_password-error">The password is wrong/)
    const short = await visitor.browser.submit('/account/password', {
      current_password: PASSWORD,
      new_password: 'short',
    })
    expect(short.html).toMatch(/id="field-new_password-error">The new password must have/)
    const common = await visitor.browser.submit('/account/password', {
      current_password: PASSWORD,
      new_password: 'qwertyuiop123',
    })
    expect(common.html).toMatch(/id="field-new_password-error">The new password is among the first/)
    const same = await visitor.browser.submit('/account/password', {
      current_password: PASSWORD,
      new_password: PASSWORD,
    })
    expect(same.html).toMatch(/id="field-new_password-error">The new password must be a new one\./)
    expect((await client.call('get_conversations')).isError).toBe(false)
    const changed = await visitor.browser.submit('/account/password', {
      current_password: PASSWORD,
      new_password: 'another good password',
    })
    expect(changed.text).toContain('Your password is changed.')
    await expect(client.call('get_conversations')).rejects.toThrow()
    const old = await signIn(browserOf(app), visitor.username)
    expect(old.status).toBe(422)
    const fresh = await signIn(browserOf(app), visitor.username, 'another good password')
    expect(fresh.url.pathname).toBe('/account')
  })
})

describe("this month's usage", () => {
  test('is per model, and shows the budget', async () => {
    const visitor = await signUp(app)
    expect((await visitor.browser.open('/account/usage')).text).toContain('Nothing in these days.')
    await visitor.browser.open('/account/key')
    await visitor.browser.submit('/account/key', { key: newKey('5555') })
    const client = await connect(visitor)
    const sent = await client.call('send_message', { message: 'hello', model: 'claude-haiku-4-5' })
    expect(sent.isError).toBe(false)
    await client.call('set_budget', { period: 'month', limit_usd: 12.5 })
    const page = await visitor.browser.open('/account/usage')
    expect(page.text).toMatch(/claude-haiku-4-5\S*: \$0\.00\S* \$0\.00\S* 1 \d+ \d+/)
    expect(page.text).toMatch(/\$0\.00\S* of \$12\.50/)
    expect((await visitor.browser.open('/account')).text).toContain('of a limit of $12.50')
  })
})

describe('leaving', () => {
  test('with one JSON file that holds the conversations and no secret', async () => {
    const visitor = await signUp(app)
    const key = newKey('6666')
    await visitor.browser.open('/account/key')
    await visitor.browser.submit('/account/key', { key })
    const client = await connect(visitor)
    const sent = await client.call('send_message', { message: 'a line to take away' })
    expect(sent.isError).toBe(false)
    await visitor.browser.open('/account/data')
    const file = await visitor.browser.submit('/account/export')
    expect(file.headers.get('content-disposition')).toMatch(
      /^attachment; filename=claude-api-gateway-\d{4}-\d\d-\d\d\.json$/,
    )
    const exported = JSON.parse(file.html)
    expect(exported.user.username).toBe(visitor.username)
    expect(JSON.stringify(exported.conversations)).toContain('a line to take away')
    expect(file.html).not.toContain(key)
    for (const value of visitor.browser.cookies.values()) expect(file.html).not.toContain(value)
  })

  test('for ever, with the name and the password', async () => {
    const { browser, username } = await signUp(app)
    await browser.open('/account/data')
    const noName = await browser.submit('/account/delete', { username: 'x', password: PASSWORD })
    expect(noName.html).toMatch(/id="field-username-error">This is not your username/)
    const wrong = await browser.submit('/account/delete', { username, password: 'wrong' })
    expect(wrong.html).toMatch(/id="field-password-error">The password is wrong/)
    expect((await browser.open('/account/data')).status).toBe(200)
    const gone = await browser.submit('/account/delete', { username, password: PASSWORD })
    expect(gone.text).toContain('Your account is deleted.')
    expect((await browser.open('/account')).url.pathname).toBe('/sign-in')
    expect((await signIn(browserOf(app), username)).status).toBe(422)
  })
})
