/** Conversations on the pages: found, named, archived, copied, sent otherwise, and deleted. */

import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { keepConversation } from '../../../support/kept-conversation.ts'
import { startApp, type TestApp } from '../../../support/start-app.ts'
import { cookieOf, csrfTokenIn, type Visitor } from '../visiting.ts'
import { begin, signUpToTalk } from './talking.ts'

const OWN = 'https://gateway.example'
const LIST = '/account/conversations'

let app: TestApp
let ada: Visitor
let bob: Visitor
beforeAll(async () => {
  app = await startApp({ kind: 'embedded', env: { PUBLIC_URL: OWN, WARN_HISTORY_TOKENS: '40' } })
  ada = await signUpToTalk(app)
  bob = await signUpToTalk(app)
})
beforeEach(() => app.claude.reset())
afterAll(() => app.close())

const idOf = (path: string) => path.split('/').at(-1) ?? ''

async function give(path: string, { username, userId }: Visitor, role: 'viewer' | 'contributor') {
  const owner = await app.app.services.sessions.findBrowserSession(
    cookieOf(ada.browser, 'session').value,
  )
  if (!owner) throw new Error('the owner is not signed in')
  const { id } = await app.app.services.sharing.share(owner, {
    conversationId: idOf(path),
    with: { username },
    role,
    expiresInDays: undefined,
  })
  await app.app.repositories.grants.accept(id, userId)
}

describe('the list', () => {
  test('shows one’s own, those of others, the archived ones, or all', async () => {
    const mine = await begin(ada, 'Filtered: mine')
    const archived = await begin(ada, 'Filtered: archived')
    await ada.browser.submit(`${archived}/archive`)
    expect(ada.browser.page.text).toContain('Archived. It is back')
    expect(ada.browser.page.html).toContain('<span class="tag">archived</span>')
    const shared = await begin(ada, 'Filtered: shared')
    await give(shared, bob, 'viewer')
    const shown = async ({ browser }: Visitor, filter: string) => {
      const { html } = await browser.open(`${LIST}?filter=${filter}`)
      return [mine, archived, shared].map((path) => html.includes(`href="${path}"`))
    }
    expect(await shown(ada, 'mine')).toEqual([true, false, true])
    expect(await shown(ada, 'nonsense')).toEqual([true, false, true])
    expect(await shown(ada, 'archived')).toEqual([false, true, false])
    expect(await shown(ada, 'all')).toEqual([true, true, true])
    expect(await shown(ada, 'shared')).toEqual([false, false, false])
    expect(await shown(bob, 'shared')).toEqual([false, false, true])
    expect(await shown(bob, 'mine')).toEqual([false, false, false])
    expect(bob.browser.page.html).toContain('aria-current="page">Yours')
    await ada.browser.open(archived)
    await ada.browser.submit(`${archived}/archive`)
    expect(await shown(ada, 'mine')).toEqual([true, true, true])
  })

  test('keeps its filter from page to page', async () => {
    const eve = await signUpToTalk(app)
    for (let i = 0; i < 31; i += 1) await keepConversation(app, eve.userId, ['hi'], 'ho')
    const { html } = await eve.browser.open(`${LIST}?filter=all`)
    const [, older = ''] = /href="([^"]*cursor=[^"]*)"/.exec(html) ?? []
    expect(older.replaceAll('&amp;', '&')).toMatch(/\?filter=all&cursor=/)
    expect((await eve.browser.open(older.replaceAll('&amp;', '&'))).text).toContain('31 here')
  })
})

test('an address that cannot be read is not called a form', async () => {
  const page = await ada.browser.open(`${LIST}/%E0%A4%A`)
  expect(page.status).toBe(400)
  expect(page.text).toContain('This address cannot be read.')
})

test('a model that the form does not offer is refused in words', async () => {
  await ada.browser.open(`${LIST}/new`)
  const filled = { message: 'With what was offered before', model: 'claude-of-before' }
  const page = await ada.browser.submit(`${LIST}/new`, filled)
  expect(page.status).toBe(422)
  expect(page.text).toContain('Choose one of the models that the form offers.')
  expect(page.text).toContain('With what was offered before')
})

describe('a search', () => {
  test('finds titles and messages, shows where, and leads there', async () => {
    const messages = Array.from({ length: 60 }, (_, index) => `question number ${index}.`)
    messages[10] = 'Where does the capercaillie dance in spring?'
    const id = await keepConversation(app, ada.userId, messages, 'an answer')
    await begin(ada, 'A capercaillie in the title')
    await ada.browser.open(LIST)
    const { text, html } = await ada.browser.submit(`${LIST}/search`, { query: 'CAPERCAILLIE' })
    expect(text).toContain('A capercaillie in the title')
    expect(html).toContain('the title')
    expect(text).toContain('Where does the capercaillie dance in spring?')
    expect(text).toContain('titles and messages were compared')
    const [, found = ''] = new RegExp(`href="(/account/conversations/${id}[^"]*)"`).exec(html) ?? []
    const page = await ada.browser.open(found)
    expect(page.text).toContain('capercaillie dance')
    expect(page.text).not.toContain('question number 11.')
    const [, anchor = ''] = found.split('#')
    expect(page.html).toContain(`id="${anchor}"`)
    // With the answer to it, and no form to send from the middle.
    expect(page.html.match(/<article/g)).toHaveLength(22)
    expect(page.html).not.toContain('<textarea')
  })

  test('goes on with more of it, and finds nothing twice', async () => {
    const eve = await signUpToTalk(app)
    await keepConversation(app, eve.userId, Array(30).fill('a wryneck'), 'no bird')
    await eve.browser.open(`${LIST}/search`)
    const first = await eve.browser.submit(`${LIST}/search`, { query: 'wryneck' })
    const seen = (html: string) => html.match(/#message-[0-9a-f-]+/g) ?? []
    expect(seen(first.html)).toHaveLength(20)
    const [, more = ''] = /href="([^"]*cursor=[^"]*)"/.exec(first.html) ?? []
    const second = await eve.browser.open(more.replaceAll('&amp;', '&'))
    expect(seen(second.html)).toHaveLength(10)
    expect(new Set([...seen(first.html), ...seen(second.html)]).size).toBe(30)
    expect(second.html).not.toContain('Search on')
    const stolen = await ada.browser.open(more.replaceAll('&amp;', '&'))
    expect(stolen.status).toBe(400)
    expect(seen(stolen.html)).toEqual([])
  })

  test('finds nothing of others, and says what is wrong with a query', async () => {
    await begin(ada, 'A hoopoe of my own')
    const of = async (query: string, more = '') =>
      bob.browser.open(`${LIST}/search?query=${encodeURIComponent(query)}${more}`)
    expect((await of('hoopoe')).text).toContain('Nothing found.')
    expect((await of('hoopoe', '&cursor=x')).status).toBe(400)
    expect((await of('""')).status).toBe(400)
    expect((await of('x'.repeat(501))).status).toBe(422)
    expect((await of('<img src=x>')).html).not.toContain('<img src=x>')
    expect((await bob.browser.open(`${LIST}/search`)).status).toBe(200)
  })

  test('shows texts of conversations as text', async () => {
    await begin(ada, '<b>a nightjar</b> & "friends"', {})
    const { html } = await ada.browser.open(`${LIST}/search?query=nightjar`)
    expect(html).toContain('&lt;b&gt;a nightjar&lt;/b&gt; &amp; &quot;friends&quot;')
    expect(html).not.toContain('<b>a nightjar')
  })
})

describe('a conversation', () => {
  test('is renamed, not to a blank or an overlong title', async () => {
    const path = await begin(ada, 'A title of its own accord')
    const renamed = await ada.browser.submit(`${path}/title`, { title: ' The <i>new</i> name ' })
    expect(renamed.text).toContain('Renamed.')
    expect(renamed.html).toContain('<h1><bdi>The &lt;i&gt;new&lt;/i&gt; name</bdi>')
    for (const title of [' ', 'x'.repeat(201)]) {
      const refused = await ada.browser.submit(`${path}/title`, { title })
      expect(refused.status).toBe(422)
      expect(refused.html).toContain('id="field-title-error"')
      expect(refused.html).toContain('<details open>')
    }
    expect((await ada.browser.open(LIST)).text).toContain('The <i>new</i> name')
  })

  test('with a title that hides or turns its letters shows them as they are', async () => {
    const path = await begin(ada, 'A plain beginning')
    await ada.browser.submit(`${path}/title`, {
      title: 'in\u202egnp.exe\u200b\u0000 <svg onload=x>',
    })
    for (const page of [path, LIST, `${path}/delete`, `${LIST}/search?query=svg`]) {
      const { html, status } = await ada.browser.open(page)
      expect(status).toBe(200)
      expect(html).toContain('ingnp.exe &lt;svg onload=x&gt;')
      // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
      expect(html).not.toMatch(/[\u202e\u200b\u0000]|<svg/)
    }
  })

  test('goes on in a copy, from any answer', async () => {
    const path = await begin(ada, 'The trunk')
    await ada.browser.submit(`${path}/messages`, { message: 'The first branch' })
    const copy = await ada.browser.submit(`${path}/branch`, firstAnswer())
    expect(copy.url.pathname).not.toBe(path)
    expect(copy.text).toContain('This is a copy of your own.')
    expect(copy.html.match(/<article/g)).toHaveLength(2)
    expect(copy.html).toContain(`<a href="${path}">another conversation</a>`)
    const there = copy.url.pathname
    await ada.browser.submit(`${there}/messages`, { message: 'The other branch' })
    expect((await ada.browser.open(path)).text).not.toContain('The other branch')
  })

  test('has its newest message sent otherwise, or answered again, in a copy', async () => {
    const path = await begin(ada, 'The beginning')
    await ada.browser.submit(`${path}/messages`, { message: 'A mistkae' })
    const [, edit = ''] = /href="([^"]*\/edit\/[^"]*)"/.exec(ada.browser.page.html) ?? []
    const form = await ada.browser.open(edit)
    expect(form.html).toContain('A mistkae</textarea>')
    expect((await ada.browser.submit(edit, { message: ' ' })).status).toBe(422)
    const edited = await ada.browser.submit(edit, { message: 'A mistake' })
    expect(edited.url.pathname).not.toBe(path)
    expect(edited.text).toContain('The beginning')
    expect(edited.text).toContain('A mistake')
    expect(edited.text).not.toContain('A mistkae')

    await ada.browser.open(path)
    app.claude.setReply(() => 'Another answer altogether')
    const again = await ada.browser.submit(`${path}/again`)
    expect(again.url.pathname).not.toBe(path)
    expect(again.text).toContain('A mistkae')
    expect(again.text).toContain('Another answer altogether')
    expect((await ada.browser.open(path)).text).not.toContain('Another answer altogether')
  })

  test('that was answered again is not sent twice by a double click', async () => {
    const path = await begin(ada, 'Only once')
    const form = ada.browser.forms().find(({ action }) => action === `${path}/again`)
    const before = app.claude.messageRequests().length
    const fields = form?.fields ?? []
    const pages = await Promise.all(
      [1, 2].map(() => ada.browser.clone().post(`${path}/again`, fields, { origin: OWN })),
    )
    expect(new Set(pages.map(({ url }) => url.pathname)).size).toBe(1)
    expect(app.claude.messageRequests()).toHaveLength(before + 1)
  })

  test('is deleted for ever, after a page that says what goes', async () => {
    const path = await begin(ada, 'Doomed words')
    await ada.browser.submit(`${path}/messages`, { message: 'More of them' })
    await ada.browser.submit(`${path}/branch`, firstAnswer())
    await give(path, bob, 'viewer')
    const page = await ada.browser.open(`${path}/delete`)
    expect(page.text).toContain('4 messages will be deleted')
    expect(page.text).toContain('1 share will end')
    expect(page.text).toContain('1 copy made from it will stay')
    expect((await ada.browser.open(path)).status).toBe(200)
    await ada.browser.open(`${path}/delete`)
    const after = await ada.browser.submit(`${path}/delete`)
    expect(after.url.pathname).toBe(LIST)
    expect(after.text).toContain('The conversation is deleted.')
    expect((await ada.browser.open(path)).status).toBe(404)
    expect((await bob.browser.open(path)).status).toBe(404)
    expect((await ada.browser.open(`${path}/delete`)).status).toBe(404)
  })
})

describe('somebody else’s conversation', () => {
  const ACTS = [
    'title',
    'archive',
    'hide',
    'branch',
    'again',
    'delete',
    'messages',
    'stop',
  ] as const

  /** Sends the form as the page would, were it there. */
  const send = async ({ browser }: Visitor, path: string, act: string, more = {}) => {
    await browser.open(LIST)
    const csrf_token = csrfTokenIn(browser.page.html)
    const fields = {
      csrf_token,
      title: 'Taken',
      archived: 'yes',
      hidden: 'yes',
      message: 'Let me in',
      ...more,
    }
    return browser.post(`${path}/${act}`, fields, { origin: OWN })
  }
  const messageIn = (html: string) => /id="message-([0-9a-f-]+)"/.exec(html)?.[1] ?? ''

  test('is not there for a stranger, by any address or form', async () => {
    const path = await begin(ada, 'Not for strangers')
    const message_id = messageIn(ada.browser.page.html)
    const missing = `${LIST}/${crypto.randomUUID()}`
    for (const act of ACTS) {
      const [real, unreal] = [
        await send(bob, path, act, { message_id }),
        await send(bob, missing, act, { message_id }),
      ]
      expect(real.status, act).toBe(404)
      expect(real.html, act).toBe(unreal.html)
    }
    for (const page of ['', '/delete', `/edit/${message_id}`, '/export', '?through=x']) {
      expect((await bob.browser.open(`${path}${page}`)).status, page).toBe(404)
    }
    const own = await begin(bob, 'Mine')
    const mixed = [
      await bob.browser.open(`${own}?through=${message_id}`),
      await bob.browser.open(`${own}?before=${message_id}`),
      await bob.browser.open(`${own}/edit/${message_id}`),
      await send(bob, own, 'branch', { message_id }),
      await send(bob, own, 'again', { message_id }),
    ]
    expect(mixed.map(({ status }) => status)).toEqual([404, 404, 404, 404, 404])
    expect((await ada.browser.open(path)).text).not.toContain('Let me in')
  })

  test('is read, archived and copied by a viewer, and nothing else', async () => {
    const path = await begin(ada, 'For a viewer')
    await give(path, bob, 'viewer')
    const page = await bob.browser.open(path)
    const forms = bob.browser.forms().map(({ action }) => action.replace(path, ''))
    expect(forms).toEqual(['/sign-out', '/archive', '/branch', '/hide', '/branch'])
    expect(page.text).toContain('Archive, hide or copy')
    expect(page.html).not.toContain('/delete"')
    for (const act of ['title', 'delete', 'messages'] as const) {
      expect((await send(bob, path, act)).status, act).toBe(403)
    }
    // In a copy of their own, as whoever copies may.
    const again = await send(bob, path, 'again', { message_id: messageIn(page.html) })
    expect(again.status).toBe(200)
    expect(again.url.pathname).not.toBe(path)
    expect((await bob.browser.open(`${path}/delete`)).status).toBe(403)
    await bob.browser.open(path)
    await bob.browser.submit(`${path}/archive`)
    expect((await bob.browser.open(`${LIST}?filter=shared`)).html).not.toContain(`"${path}"`)
    expect((await ada.browser.open(LIST)).html).toContain(`"${path}"`)
    await bob.browser.open(path)
    const copy = await bob.browser.submit(`${path}/branch`)
    expect(copy.text).toContain('This is a copy of your own.')
    expect(copy.html).toContain('Your message')
  })

  test('is continued by a contributor, who is asked before a long history costs', async () => {
    const path = await begin(ada, `For a contributor: ${'many words '.repeat(40)}`)
    await give(path, bob, 'contributor')
    await bob.browser.open(path)
    const asked = await bob.browser.submit(`${path}/messages`, { message: 'And I say' })
    expect(asked.status).toBe(409)
    expect(asked.text).toMatch(/You would pay for all that was said before, about \d+ tokens/)
    expect(asked.html).toContain('And I say</textarea>')
    expect(asked.text).not.toContain('confirm_cost')
    const sent = await bob.browser.submit(`${path}/messages`, { confirm_cost: 'yes' })
    expect(sent.status).toBe(200)
    expect(sent.html.match(/<article/g)).toHaveLength(4)
    expect(sent.html).not.toContain('/delete"')
    for (const act of ['title', 'delete'] as const) {
      expect((await send(bob, path, act)).status, act).toBe(403)
    }
  })

  test.each([...ACTS, 'edit/x'])('%s from another site is refused (CSRF)', async (act) => {
    const path = await begin(ada, 'Protected')
    const fields = { title: 'Forged', archived: 'yes', message: 'Forged' }
    const to = act === 'edit/x' ? `${path}/edit/${crypto.randomUUID()}` : `${path}/${act}`
    expect((await ada.browser.post(to, fields, { origin: OWN })).status).toBe(403)
    expect((await ada.browser.open(path)).text).toContain('Protected')
  })
})

const firstAnswer = () => {
  const ids = ada.browser.page.html.matchAll(
    /class="message assistant"[^>]*>\s*<h2 id="message-([^"]+)"/g,
  )
  return { message_id: [...ids][0]?.[1] ?? '' }
}
