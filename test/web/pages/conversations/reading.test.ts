/** Conversations on the pages: begun, read, continued and stopped in a browser. */

import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { keepConversation } from '../../../support/kept-conversation.ts'
import { startApp, type TestApp } from '../../../support/start-app.ts'
import { csrfTokenIn, signUp, type Visitor } from '../visiting.ts'
import { begin, signUpToTalk } from './talking.ts'

const OWN = 'https://gateway.example'

let app: TestApp
let ada: Visitor
beforeAll(async () => {
  app = await startApp({ kind: 'embedded', env: { PUBLIC_URL: OWN } })
  ada = await signUpToTalk(app)
})
beforeEach(() => app.claude.reset())
afterAll(() => app.close())

const refreshOf = (page: { headers: Headers }) => page.headers.get('refresh')

describe('a conversation', () => {
  test('begins with a message, a model and a system prompt, and goes on', async () => {
    app.claude.setReply(() => 'It is **blue**.')
    const path = await begin(ada, 'Which colour?\nOf the *sky*', {
      model: 'claude-opus-5',
      system_prompt: 'Be brief.',
    })
    const { html, text } = ada.browser.page
    expect(path).toMatch(/^\/account\/conversations\/[0-9a-f-]{36}$/)
    expect(html).toContain('It is <strong>blue</strong>.')
    // What people typed stays as it was.
    expect(html).toContain('Which colour?\nOf the *sky*</div>')
    expect(text).toContain('Be brief.')
    const [asked] = app.claude.messageRequests()
    expect(JSON.parse(asked?.body ?? '')).toMatchObject({ model: 'claude-opus-5' })
    expect(asked?.body).toContain('Which colour?\\nOf the *sky*')

    const page = await ada.browser.submit(`${path}/messages`, { message: 'And the sea?' })
    expect(page.url.pathname).toBe(path)
    expect(page.html.match(/<article/g)).toHaveLength(4)
    expect(refreshOf(page)).toBeNull()
    expect(app.claude.messageRequests().at(-1)?.body).toContain('Which colour?')
  })

  test('is listed with its title, newest activity first', async () => {
    const first = await begin(ada, 'An older question')
    const second = await begin(ada, 'A newer question')
    const { html, text } = await ada.browser.open('/account/conversations')
    expect(text.indexOf('A newer question')).toBeLessThan(text.indexOf('An older question'))
    for (const path of [first, second]) expect(html).toContain(`href="${path}"`)
  })

  test('is found on a later page of a long list', async () => {
    const reader = await signUpToTalk(app)
    const ids = []
    for (let i = 0; i < 31; i += 1)
      ids.push(await keepConversation(app, reader.userId, ['hi'], 'ho'))
    const { html } = await reader.browser.open('/account/conversations')
    expect(html).not.toContain(ids[0])
    const [, older = ''] = /href="([^"]*\?cursor=[^"]*)"/.exec(html) ?? []
    const page = await reader.browser.open(older)
    expect(page.html).toContain(`href="/account/conversations/${ids[0]}"`)
    expect(page.html).not.toContain('?cursor=')
  })

  test('that does not exist, is misspelled or is another’s is the same page', async () => {
    const path = await begin(ada, 'For me only')
    const stranger = await signUpToTalk(app)
    const own = await begin(stranger, 'Mine')
    const answers = []
    for (const id of [path.split('/').at(-1), crypto.randomUUID(), 'nonsense']) {
      const { status, html } = await stranger.browser.open(`/account/conversations/${id}`)
      answers.push({ status, html })
    }
    expect(answers[0]?.status).toBe(404)
    expect(answers[1]).toEqual(answers[0])
    expect(answers[2]).toEqual(answers[0])
    await stranger.browser.open(own)
    const token = csrfTokenIn(stranger.browser.page.html)
    for (const act of ['messages', 'stop']) {
      const fields = { csrf_token: token, message: 'Let me in', message_id: crypto.randomUUID() }
      const page = await stranger.browser.post(`${path}/${act}`, fields, { origin: OWN })
      expect(page.status, act).toBe(404)
      expect(page.html, act).toBe(answers[0]?.html)
    }
    expect((await ada.browser.open(path)).text).not.toContain('Let me in')
  })

  test('is read in pages of 50 messages, the newest first of all', async () => {
    const messages = Array.from({ length: 60 }, (_, index) => `question ${index}.`)
    const id = await keepConversation(app, ada.userId, messages, 'an answer')
    const path = `/account/conversations/${id}`
    const newest = await ada.browser.open(path)
    expect(newest.html.match(/<article/g)).toHaveLength(50)
    expect(newest.text).toContain('question 59.')
    expect(newest.text).not.toContain('question 34.')
    const [, older = ''] = /href="([^"]*\?before=[^"]*)"/.exec(newest.html) ?? []
    const page = await ada.browser.open(older)
    expect(page.text).toContain('question 34.')
    expect(page.html).not.toContain('<textarea')
    expect(page.html).toContain(`href="${path}#latest"`)
    const other = await keepConversation(app, ada.userId, ['elsewhere'], 'an answer')
    const query = new URL(older, OWN).search
    expect((await ada.browser.open(`/account/conversations/${other}${query}`)).status).toBe(404)
    expect((await ada.browser.open(`${path}?before=nonsense`)).status).toBe(404)
  })
})

describe('a message', () => {
  test('that is blank, or to an unknown model, is refused and not sent', async () => {
    await ada.browser.open('/account/conversations/new')
    const page = await ada.browser.submit('/account/conversations/new', {
      message: ' \n',
      system_prompt: 'Keep me',
    })
    expect(page.status).toBe(422)
    expect(page.html).toContain('id="field-message-error"')
    expect(page.html).toContain('Keep me</textarea>')
    const unknown = { message: 'Hello', model: 'claude-of-my-own' }
    expect((await ada.browser.submit('/account/conversations/new', unknown)).status).toBe(422)
    expect(app.claude.messageRequests()).toEqual([])
  })

  test('may be as long as a request of a client, which other forms may not be', async () => {
    const long = 'many words '.repeat(40_000)
    const path = await begin(ada, long)
    expect(ada.browser.page.text).toContain('many words')
    expect(app.claude.messageRequests()).toHaveLength(1)
    await ada.browser.open(path)
    const tooLong = 'x'.repeat(app.config.http.maxBodyBytes)
    expect((await ada.browser.submit(`${path}/messages`, { message: tooLong })).status).toBe(413)
    await ada.browser.open('/account/usage')
    const page = await ada.browser.submit('/account/usage', { daily_limit: long })
    expect(page.status).toBe(413)
  })

  test('of somebody who is not signed in is not even read', async () => {
    const response = await fetch(new URL('/account/conversations/new', app.baseUrl), {
      method: 'POST',
      body: `message=${'x'.repeat(1_000_000)}`,
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      redirect: 'manual',
    })
    expect(response.status).toBe(303)
    expect(response.headers.get('location')).toMatch(/^\/sign-in\?return_to=/)
  })

  test('sent twice by a double click is answered once', async () => {
    const path = await begin(ada, 'Begin')
    const form = ada.browser.forms().find(({ action }) => action === `${path}/messages`)
    const fields: [string, string][] = [...(form?.fields ?? []), ['message', 'Once, please']]
    const sent = fields.filter(([name, value]) => name !== 'message' || value !== '')
    await Promise.all(
      [1, 2].map(() => ada.browser.clone().post(`${path}/messages`, sent, { origin: OWN })),
    )
    const { html } = await ada.browser.open(path)
    expect(html.match(/Once, please<\/div>/g)).toHaveLength(1)
    expect(html.match(/<article/g)).toHaveLength(4)
  })

  test('that Anthropic refuses at once comes back to be sent again', async () => {
    app.claude.script({ kind: 'status', status: 401, type: 'authentication_error' })
    await ada.browser.open('/account/conversations/new')
    const page = await ada.browser.submit('/account/conversations/new', { message: 'Keep this' })
    expect(page.status).toBeGreaterThanOrEqual(400)
    expect(page.html).toContain('Keep this</textarea>')
    expect(page.html).toContain('role="alert"')
  })

  test('of somebody without a key says what is missing', async () => {
    const newcomer = await signUp(app)
    const { html } = await newcomer.browser.open('/account/conversations/new')
    expect(html).toContain('<a href="/account/key">Add one</a>')
  })

  test.each(['new', 'messages', 'stop'])('%s from another site is refused (CSRF)', async (act) => {
    const path = await begin(ada, 'Here')
    const to = act === 'new' ? '/account/conversations/new' : `${path}/${act}`
    const before = app.claude.messageRequests().length
    const page = await ada.browser.post(to, { message: 'forged' }, { origin: OWN })
    expect(page.status).toBe(403)
    expect(app.claude.messageRequests()).toHaveLength(before)
  })
})

describe('while Claude answers', () => {
  test('the page comes again every few seconds, and the answer can be stopped', async () => {
    app.claude.setReply(() => 'A long answer, word by word. '.repeat(20))
    app.claude.script({ kind: 'stream_stall', afterChunks: 2 })
    const path = await begin(ada, 'Take your time')
    const running = ada.browser.page
    expect(refreshOf(running)).toBe('3')
    expect(running.text).toContain('Claude is writing')
    expect(running.html).not.toContain('<textarea')
    const stopped = await ada.browser.submit(`${path}/stop`)
    expect(stopped.url.pathname).toBe(path)
    expect(refreshOf(stopped)).toBeNull()
    expect(stopped.text).toContain('You stopped this answer.')
    expect(stopped.html).toContain('<textarea')
  })

  test('an answer that the visitor did not see is not stopped', async () => {
    app.claude.script({ kind: 'stream_stall', afterChunks: 0 })
    const path = await begin(ada, 'Still there')
    const page = await ada.browser.submit(`${path}/stop`, { message_id: crypto.randomUUID() })
    expect(page.text).not.toContain('Claude is being stopped.')
    expect(refreshOf(page)).toBe('3')
    await ada.browser.submit(`${path}/stop`)
  })
})

describe('what people and Claude wrote is never markup', () => {
  const HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)>'

  test('in titles, messages, answers and system prompts', async () => {
    app.claude.setReply(() => `${HOSTILE}\n\n[x](javascript:alert(3)) ![y](https://evil.example/z)`)
    const path = await begin(ada, HOSTILE, { system_prompt: HOSTILE })
    for (const page of [path, '/account/conversations']) {
      const { html } = await ada.browser.open(page)
      expect(html, page).toContain('&lt;script&gt;')
      expect(html, page).not.toMatch(/<script|<img src=x|href="javascript|evil\.example\/z" src/)
    }
  })

  test('and characters that turn the line around stay within a title', async () => {
    await begin(ada, 'abc\u202etxt.exe\u0007')
    const { html } = await ada.browser.open('/account/conversations')
    expect(html).toContain('<bdi>abctxt.exe</bdi>')
    expect(html).not.toContain('\u202e')
  })
})

test('no text, title or id of a conversation reaches the log', async () => {
  app.claude.setReply(() => 'canary-of-claude')
  const path = await begin(ada, 'canary-of-ada', { system_prompt: 'canary-of-the-prompt' })
  await ada.browser.open(`${path}?before=${crypto.randomUUID()}`)
  const log = app.logLines.join('\n')
  expect(log).not.toContain('canary-of')
  expect(log).not.toContain(path)
})
