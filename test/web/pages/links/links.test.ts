/** Links: made by a tool, opened in a browser, ended, and what they never show. */

import { createHash } from 'node:crypto'
import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openBrowser } from '../../../support/browser.ts'
import { describeDatabases } from '../../../support/databases.ts'
import { keepConversation } from '../../../support/kept-conversation.ts'
import { browserSession } from '../../../support/signed-up.ts'
import { startApp, type TestApp, type TestClient } from '../../../support/start-app.ts'
import { PASSWORD, signIn, signUp, type Visitor } from '../visiting.ts'

const CANARIES = {
  title: 'canary-title-7731',
  systemPrompt: 'canary-system-7732',
  thinking: 'canary-thinking-7733',
  tag: 'canary-tag-7734',
  later: 'canary-later-7735',
  edit: 'canary-edit-7736',
}

describeDatabases('a link', (kind) => {
  let app: TestApp
  let owner: Awaited<ReturnType<TestApp['register']>>
  let client: TestClient
  let visitor: Visitor

  beforeAll(async () => {
    app = await startApp({ kind })
    owner = await app.register()
    client = await app.connect('modern', owner.accessToken)
    visitor = await signUp(app)
  })
  afterAll(() => app.close())

  const begin = async (message = 'the first words', more = {}): Promise<string> =>
    (await client.call('send_message', { message, ...more })).structured.data.conversation_id
  const makeLink = async (conversation_id: string, more = {}) => {
    const wanted = { conversation_id, with: { link: 'signed-in' }, role: 'viewer', ...more }
    return (await client.call('share_conversation', wanted)).structured
  }
  const linkTo = async (id: string): Promise<{ url: string; share_id: string; path: string }> => {
    const { data } = await makeLink(id)
    return { ...data, path: new URL(data.url).pathname }
  }
  const stranger = () => openBrowser(app.baseUrl, app.config.http.publicUrl)

  test('shows what there was, to people who sign in', async () => {
    const id = await begin('words to share')
    const { data } = await makeLink(id)
    expect(data).toMatchObject({ with: null, role: 'viewer', pending: false })
    const days = (Date.parse(data.expires_at) - Date.now()) / 86_400_000
    expect(days).toBeGreaterThan(29.9)
    expect(days).toBeLessThan(30.1)
    const { pathname } = new URL(data.url)
    const secret = pathname.split('/').at(-1) ?? ''
    expect(Buffer.from(secret.replace('share_', ''), 'base64url')).toHaveLength(32)
    const stored = await app.app.db
      .selectFrom('conversationLinks')
      .selectAll()
      .where('id', '=', data.share_id)
      .executeTakeFirstOrThrow()
    expect(stored.tokenHash).toEqual(createHash('sha256').update(secret).digest())

    const page = await visitor.browser.open(pathname)
    expect(page.status).toBe(200)
    expect(page.text).toContain('words to share')
    expect(page.headers.get('x-robots-tag')).toBe('noindex, nofollow, noarchive')
    expect(page.headers.get('referrer-policy')).toBe('no-referrer')
    expect(page.headers.get('cache-control')).toBe('no-store')
    expect(page.headers.get('content-security-policy')).toContain("default-src 'none'")
    expect(page.html).not.toMatch(/og:|twitter:|<form|description/)
    expect(page.html).toContain('<title>A shared conversation')
    const [listed] = (await client.call('get_shares', { conversation_id: id })).structured.data
      .links
    expect(listed).toMatchObject({
      share_id: data.share_id,
      link: 'signed-in',
      state: 'active',
      through_position: 2,
      views: 1,
      last_viewed_on: new Date().toISOString().slice(0, 10),
    })
  })

  test('shows no later message, edit, thinking, system prompt, title, tag, cost or name', async () => {
    app.claude.setReply({
      content: [
        { type: 'thinking', thinking: CANARIES.thinking, signature: 'c2ln' },
        { type: 'text', text: 'an answer', citations: null },
      ],
    })
    const sent = await client.call('send_message', {
      message: 'a message',
      thinking: 'adaptive',
      max_tokens: 4096,
      system_prompt: CANARIES.systemPrompt,
      tag: CANARIES.tag,
    })
    app.claude.reset()
    const { conversation_id: id, message_id } = sent.structured.data
    await client.call('update_conversation', { conversation_id: id, title: CANARIES.title })
    const { path, share_id } = await linkTo(id)
    await client.call('send_message', { conversation_id: id, message: CANARIES.later })
    const history = await client.call('get_conversation_history', { conversation_id: id })
    const first = history.structured.messages[0].id
    await client.call('send_message', {
      conversation_id: id,
      edit_message_id: first,
      message: CANARIES.edit,
    })
    const { html } = await visitor.browser.open(path)
    expect(html).toContain('a message')
    expect(html).toContain('an answer')
    const left = [...Object.values(CANARIES), owner.username, message_id, id, share_id, 'req_', '$']
    for (const canary of left) expect(html).not.toContain(canary)
    const row = await app.app.db
      .selectFrom('messages')
      .select(sql<number>`count(*)::integer`.as('rows'))
      .where('conversationId', '=', id)
      .executeTakeFirstOrThrow()
    expect(row.rows).toBe(4)

    const copied = await copyOf(path)
    for (const canary of Object.values(CANARIES)) {
      expect(JSON.stringify(copied.history)).not.toContain(canary)
      expect(JSON.stringify(copied.row)).not.toContain(canary)
    }
  })

  /** What a visitor has who goes on in a copy. */
  const copyOf = async (path: string) => {
    await visitor.browser.open(`${path}/copy`)
    const made = await visitor.browser.submit(`${path}/copy`)
    const id = made.url.pathname.split('/').at(-1) ?? ''
    const { services } = app.app
    const session = [...visitor.browser.cookies].find(([name]) => name.endsWith('session'))
    const caller = await services.sessions.findBrowserSession(session?.[1] ?? '')
    if (!caller) throw new Error('the visitor is not signed in')
    const history = await services.conversations.history(caller, id, {})
    return { made, id, history, row: await services.conversationHeads.get(caller, id) }
  }

  test('is continued as a copy, which says nothing of where it comes from', async () => {
    const id = await begin('words to copy')
    const { path } = await linkTo(id)
    expect((await visitor.browser.open(path)).text).toContain('Continue as a copy')
    expect((await visitor.browser.open(`${path}/copy`)).headers.get('referrer-policy')).toBe(
      'strict-origin',
    )
    const { made, history, row } = await copyOf(path)
    expect(made.text).toContain('words to copy')
    expect(made.text).toContain('Another user')
    expect(made.text).not.toContain(owner.username)
    expect(row).toMatchObject({
      owner: visitor.username,
      title: 'words to copy',
      branchedFrom: { conversationId: null, position: 2 },
      systemPrompt: null,
    })
    expect(history.messages.map(({ sender }) => sender)).toEqual([null, null])
    expect(JSON.stringify(row)).not.toContain(id)
  })

  describe('that does not work', () => {
    /** Everything that a visitor gets to know. */
    const seenBy = async (browser: ReturnType<typeof stranger>, path: string) => {
      const { status, html, headers } = await browser.open(path)
      const named = ['x-robots-tag', 'referrer-policy', 'cache-control', 'etag', 'content-type']
      const told = named.map((name) => headers.get(name))
      return {
        status,
        html: html.replaceAll(path, 'PATH').replaceAll(encodeURIComponent(path), 'PATH'),
        told: told.toSpliced(3, 1),
      }
    }

    test('looks the same as one that never was, to everybody', async () => {
      const never = `/shared/share_${Buffer.alloc(32, 7).toString('base64url')}`
      const ended = await linkTo(await begin())
      await client.call('revoke_share', { share_id: ended.share_id })
      const expired = await linkTo(await begin())
      await sql`update conversation_links set expires_at = now() where id = ${expired.share_id}::uuid`.execute(
        app.app.db,
      )
      const gone = await begin()
      const orphan = await linkTo(gone)
      await client.call('delete_conversation', { conversation_id: gone })
      const ofTeam = await linkTo(await begin())
      await sql`update conversation_links set audience = 'team' where id = ${ofTeam.share_id}::uuid`.execute(
        app.app.db,
      )
      const suspended = await app.register()
      const other = await app.connect('legacy', suspended.accessToken)
      const sent = await other.call('send_message', { message: 'of a suspended user' })
      const held = await other.call('share_conversation', {
        conversation_id: sent.structured.data.conversation_id,
        with: { link: 'signed-in' },
        role: 'viewer',
      })
      const ofSuspended = new URL(held.structured.data.url).pathname
      expect((await visitor.browser.open(ofSuspended)).status).toBe(200)
      await sql`update users set suspended_at = now() where id = ${suspended.userId}::uuid`.execute(
        app.app.db,
      )
      const working = await linkTo(await begin())

      const dead = [ended.path, expired.path, orphan.path, ofTeam.path, ofSuspended]
      const signedIn = await seenBy(visitor.browser, never)
      expect(signedIn.status).toBe(404)
      for (const path of dead) expect(await seenBy(visitor.browser, path)).toEqual(signedIn)
      const signedOut = await seenBy(stranger(), never)
      expect(signedOut.status).toBe(404)
      expect(signedOut.html).toContain('/sign-in?return_to=PATH')
      for (const path of [...dead, working.path]) {
        expect(await seenBy(stranger(), path)).toEqual(signedOut)
      }
      for (const path of [never, ...dead, working.path]) {
        const asked = await stranger().open(`${path}/copy`)
        expect(asked.url.pathname).toBe('/sign-in')
        expect(asked.url.searchParams.get('return_to')).toBe(`${path}/copy`)
      }
      for (const path of [never, ...dead]) {
        expect((await visitor.browser.open(`${path}/copy`)).status).toBe(404)
      }
      expect((await visitor.browser.open('/shared/share_short')).status).toBe(404)
      expect((await visitor.browser.open(working.path)).status).toBe(200)
    })

    test('is opened after signing in, and by no ended session', async () => {
      const { path } = await linkTo(await begin('after signing in'))
      const person = await signUp(app)
      await person.browser.open('/account')
      await person.browser.submit('/sign-out')
      await person.browser.open(path)
      const entrance = await person.browser.open(
        /href="(\/sign-in[^"]*)"/.exec(person.browser.page.html)?.[1] ?? '',
      )
      expect(entrance.url.pathname).toBe('/sign-in')
      const opened = await person.browser.submit('/sign-in', {
        username: person.username,
        password: PASSWORD,
      })
      expect(opened.url.pathname).toBe(path)
      expect(opened.text).toContain('after signing in')
      await sql`update sessions set revoked_at = now() where user_id = ${person.userId}`.execute(
        app.app.db,
      )
      expect((await person.browser.open(path)).status).toBe(404)
    })

    test('is answered with no 304, no range and no body of before', async () => {
      const { path, share_id } = await linkTo(await begin('seen once'))
      const cookie = [...visitor.browser.cookies]
        .map(([name, value]) => `${name}=${value}`)
        .join('; ')
      const ask = (method: string, headers: Record<string, string> = {}) =>
        fetch(new URL(path, app.baseUrl), { method, headers: { cookie, ...headers } })
      const first = await ask('GET')
      const etag = first.headers.get('etag') ?? '*'
      expect(await first.text()).toContain('seen once')
      expect((await ask('HEAD')).status).toBe(200)
      await client.call('revoke_share', { share_id })
      for (const headers of [
        { 'if-none-match': etag },
        { 'if-none-match': '*' },
        { 'if-modified-since': new Date(Date.now() + 60_000).toUTCString() },
        { range: 'bytes=0-9' },
      ]) {
        for (const method of ['GET', 'HEAD']) {
          const answer = await ask(method, headers)
          expect(answer.status).toBe(404)
          expect(await answer.text()).not.toContain('seen once')
        }
      }
    })
  })

  test('is in no line of the log', async () => {
    const { path } = await linkTo(await begin())
    await visitor.browser.open(path)
    await copyOf(path)
    await stranger().open(path)
    await visitor.browser.open(`${path.toUpperCase()}/`)
    const secret = path.split('/').at(-1) ?? 'none'
    const log = app.logLines.join('\n')
    expect(log).not.toContain(secret)
    expect(log).not.toContain(secret.toUpperCase())
    for (const canary of Object.values(CANARIES)) expect(log).not.toContain(canary)
    expect(log).toContain('"route":"/shared/:token"')
    expect(log).toContain('"route":"/shared/:token/copy"')
  })

  test('is refused as public, with the address where one is made, and for others’ conversations', async () => {
    const id = await begin()
    const refused = await makeLink(id, { with: { link: 'public' } })
    expect(refused.error.code).toBe('share_refused')
    const other = await app.register()
    const others = await app.connect('legacy', other.accessToken)
    const stolen = await others.call('share_conversation', {
      conversation_id: id,
      with: { link: 'signed-in' },
      role: 'viewer',
    })
    expect(stolen.structured.error.code).toBe('not_found')
    for (const wrong of [{ role: 'contributor' }, { expires_in_days: 366 }]) {
      expect((await makeLink(id, wrong)).error.code).toBe('invalid_input')
    }
  })

  test('shows text as text, whatever is in it, and notes of its owner to nobody', async () => {
    const attack =
      '<script>alert(1)</script> "><img src=x onerror=alert(2)> [go](javascript:alert(3))'
    const id = await begin(attack)
    const { path } = await linkTo(id)
    const { services } = app.app
    const caller = await browserSession(app, owner.userId)
    const noted = await services.links.make(caller, {
      conversationId: id,
      readers: 'signed-in',
      label: `canary-note ${attack}`,
    })
    for (const address of [path, new URL(noted.url).pathname]) {
      const { html, text } = await visitor.browser.open(address)
      expect(text).toContain('alert(1)')
      expect(html).not.toMatch(/<script|<img src=x|href="javascript|canary-note/)
    }
    const own = stranger()
    await signIn(own, owner.username, owner.password)
    const list = await own.open('/account/links')
    expect(list.text).toContain('canary-note')
    expect(list.html).not.toMatch(/<script|<img src=x/)
  })

  test('counts the days it was opened, and neither heads, further pages nor refusals', async () => {
    const id = await begin('counted')
    const { path, share_id } = await linkTo(id)
    const cookie = [...visitor.browser.cookies]
      .map(([name, value]) => `${name}=${value}`)
      .join('; ')
    await fetch(new URL(path, app.baseUrl), { method: 'HEAD', headers: { cookie } })
    await visitor.browser.open(`${path}?after=1`)
    await visitor.browser.open(`${path}/copy`)
    await stranger().open(path)
    const row = () =>
      app.app.db
        .selectFrom('conversationLinks')
        .selectAll()
        .where('id', '=', share_id)
        .executeTakeFirstOrThrow()
    expect(await row()).toMatchObject({ views: 0, lastViewedOn: null })
    await visitor.browser.open(path)
    await visitor.browser.open(path)
    const counted = await row()
    expect(counted.views).toBe(2)
    expect(JSON.stringify(counted)).not.toContain('127.0.0.1')
  })

  test('has no preview for programs that unfurl it', async () => {
    const { path } = await linkTo(await begin('not for previews'))
    for (const agent of [
      'Slackbot-LinkExpanding 1.0',
      'Twitterbot/1.0',
      'facebookexternalhit/1.1',
    ]) {
      const { status, html } = await stranger().open(path, { 'user-agent': agent })
      expect(status).toBe(404)
      expect(html).not.toMatch(/not for previews|og:|twitter:/)
    }
  })

  test('shows a turn no more whose text is gone, and its branches never', async () => {
    const id = await begin('goes away')
    await client.call('send_message', { conversation_id: id, message: 'stays here' })
    const { path } = await linkTo(id)
    const branch = await client.call('branch_conversation', { conversation_id: id })
    await client.call('send_message', {
      conversation_id: branch.structured.data.conversation_id,
      message: 'only in the branch',
    })
    await sql`update messages set content = null where conversation_id = ${id}::uuid and position <= 2`.execute(
      app.app.db,
    )
    const { text } = await visitor.browser.open(path)
    expect(text).toContain('stays here')
    expect(text).not.toContain('goes away')
    expect(text).not.toContain('only in the branch')
  })

  test('leads through a long conversation, page by page', async () => {
    const texts = Array.from({ length: 60 }, (_, n) => `turn-${n}.`)
    const id = await keepConversation(app, owner.userId, texts, 'an answer')
    const { path } = await linkTo(id)
    const first = await visitor.browser.open(path)
    const next = /href="([^"]*after=\d+)"/.exec(first.html)?.[1] ?? ''
    expect(next).toBe(`${path}?after=50`)
    const second = await visitor.browser.open(next)
    const third = await visitor.browser.open(`${path}?after=100`)
    expect(third.html).not.toContain('after=')
    const all = first.text + second.text + third.text
    for (const text of texts) expect(all.split(text)).toHaveLength(2)
    const { history } = await copyOf(path)
    expect(history.total).toBe(120)
  })

  test('for a team is for its members, as long as they are in it', async () => {
    const { data } = (await client.call('manage_team', { team: 'Readers', action: 'create' }))
      .structured
    expect(data).toBeDefined()
    const made = await makeLink(await begin('for the team'), {
      with: { link: 'signed-in', team: 'Readers' },
    })
    const path = new URL(made.data.url).pathname
    const statusNow = async () => (await visitor.browser.open(path)).status
    expect(await statusNow()).toBe(404)
    await app.app.services.teamMembers.add(visitor.userId, 'Readers', 'member')
    expect(await statusNow()).toBe(200)
    const [listed] = (await client.call('get_shares')).structured.data.links
    expect(listed).toMatchObject({ link: 'signed-in', team: 'Readers' })
    await client.call('manage_team', {
      team: 'Readers',
      action: 'remove',
      username: visitor.username,
    })
    expect(await statusNow()).toBe(404)
    const copy = await visitor.browser.open(`${path}/copy`)
    expect(copy.status).toBe(404)
    await app.app.services.teamMembers.add(visitor.userId, 'Readers', 'member')
    expect(await statusNow()).toBe(200)
    await sql`update teams set archived_at = now() where name = 'Readers'`.execute(app.app.db)
    expect(await statusNow()).toBe(404)
    const unknown = await makeLink(await begin(), { with: { link: 'signed-in', team: 'Nobodys' } })
    expect(unknown.error.code).toBe('not_found')
  })

  test('is one of 50, and ended ones make room', async () => {
    const id = await begin()
    const { share_id } = await linkTo(id)
    await sql`insert into conversation_links (id, token_hash, conversation_id, audience, through_position, created_by, expires_at)
      select gen_random_uuid(), sha256(n::text::bytea || ${id}::text::bytea), ${id}::uuid, 'everybody', 2, ${owner.userId}::uuid, now() + interval '1 day'
      from generate_series(1, 49) as n`.execute(app.app.db)
    expect((await makeLink(id)).error.code).toBe('share_refused')
    await client.call('revoke_share', { share_id })
    expect((await makeLink(id)).success).toBe(true)
    const rows = () =>
      app.app.db
        .selectFrom('conversationLinks')
        .select('id')
        .where('conversationId', '=', id)
        .execute()
    expect(await rows()).toHaveLength(50)
    const ended = await client.call('revoke_share', { conversation_id: id, all: true })
    expect(ended.structured.data.ended).toBe(50)
    const { links } = (await client.call('get_shares', { conversation_id: id })).structured.data
    expect(links).toEqual([])
    await linkTo(id)
    expect(await rows()).toHaveLength(1)
  })
})
