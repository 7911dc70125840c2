/** Public links: made on a page alone, by who has just given the password, of the text that was seen. */

import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openBrowser } from '../../../support/browser.ts'
import { describeDatabases } from '../../../support/databases.ts'
import { keepConversation } from '../../../support/kept-conversation.ts'
import { startApp, type TestApp } from '../../../support/start-app.ts'
import { PASSWORD, signUp, type Visitor } from '../visiting.ts'

const KEYS = [
  'sk-ant-api03-abcdefgh',
  'AKIAIOSFODNN7EXAMPLE',
  '-----BEGIN RSA',
  'ghp_16C7e42F',
  'cag_abcdef',
]

describeDatabases('a public link', (kind) => {
  let app: TestApp
  let ada: Visitor

  beforeAll(async () => {
    app = await startApp({ kind, env: { LINKS: 'public', PUBLIC_LINK_MAX_DAYS: '7' } })
    ada = await signUp(app)
  })
  afterAll(() => app.close())

  const keep = (texts: readonly string[]) => keepConversation(app, ada.userId, texts, 'an answer')
  const stranger = () => openBrowser(app.baseUrl, app.config.http.publicUrl)
  const forgetProof = () =>
    sql`update sessions set proven_at = null where user_id = ${ada.userId}`.execute(app.app.db)
  const preview = (id: string) => ada.browser.open(`/account/links/public?conversation=${id}`)
  const pathIn = (html: string) => /\/shared\/share_[\w-]+/.exec(html)?.[0] ?? 'none'
  /** With the password, as the page asks for it. */
  const publish = async (id: string, filled = {}) => {
    await preview(id)
    return ada.browser.submit('/account/links/public', filled)
  }

  test('is made after its text was seen and the password given, and read without an account', async () => {
    const id = await keep(['what **everybody** may read'])
    await forgetProof()
    const seen = await preview(id)
    expect(seen.text).toContain('what **everybody** may read')
    expect(seen.text).toContain('archives and people may keep copies')
    expect(seen.text).not.toContain('This looks like secrets')
    const asked = await ada.browser.submit('/account/links/public', { note: 'for the forum' })
    expect(asked.text).toContain('make a public link')
    const made = await ada.browser.submit('/account/links/public', { your_password: PASSWORD })
    expect(made.status).toBe(201)
    const path = pathIn(made.html)
    const read = await stranger().open(path)
    expect(read.status).toBe(200)
    expect(read.text).toContain('what **everybody** may read')
    expect(read.headers.get('x-robots-tag')).toBe('noindex, nofollow, noarchive')
    expect(read.html).not.toContain(ada.username)
    const listed = await ada.browser.open('/account/links')
    expect(listed.text).toMatch(/public.*for the forum.*everybody who has it.*Views 1/)
    const days = await sql<{ days: number }>`
      select round(extract(epoch from expires_at - now()) / 86400)::integer as days
      from conversation_links where conversation_id = ${id}::uuid`.execute(app.app.db)
    expect(days.rows).toEqual([{ days: 7 }])
  })

  test('shows first what looks like a key, wherever it is', async () => {
    const filler = Array.from({ length: 40 }, (_, n) => `message ${n}`)
    const id = await keep([...filler, `here: ${KEYS.join(' and ')}`])
    const { text, html } = await preview(id)
    expect(text).toContain('This looks like secrets')
    for (const kind of [
      'Anthropic key',
      'AWS access key',
      'private key',
      'GitHub token',
      'of this gateway',
    ]) {
      expect(text).toContain(kind)
    }
    expect(text.indexOf('This looks like secrets')).toBeLessThan(text.indexOf('What they will see'))
    for (const key of KEYS) if (key.length > 14) expect(text).not.toContain(key)
    // The form is after the whole text.
    expect(html).not.toContain('action="/account/links/public"')
    const next = /href="(\/account\/links\/public[^"]*after=50)"/.exec(html)?.[1] ?? ''
    const end = await ada.browser.open(next.replaceAll('&amp;', '&'))
    expect(end.html).toContain('action="/account/links/public"')
    expect(end.html).toContain('id="m81"')
  })

  test('shows nothing that came after the text that was seen', async () => {
    const id = await keep(['seen'])
    await preview(id)
    await sql`update conversations set message_count = 4 where id = ${id}::uuid`.execute(app.app.db)
    await sql`insert into messages (id, conversation_id, user_id, position, role, status, model, content, token_count)
      select gen_random_uuid(), conversation_id, user_id, position + 2, role, status, model, null, 1
      from messages where conversation_id = ${id}::uuid`.execute(app.app.db)
    const made = await ada.browser.submit('/account/links/public')
    const link =
      await sql`select through_position from conversation_links where conversation_id = ${id}::uuid`.execute(
        app.app.db,
      )
    expect(link.rows).toEqual([{ throughPosition: 2 }])
    await sql`delete from messages where conversation_id = ${id}::uuid and position > 2`.execute(
      app.app.db,
    )
    await sql`update conversations set message_count = 2 where id = ${id}::uuid`.execute(app.app.db)
    expect((await stranger().open(pathIn(made.html))).status).toBe(200)
  })

  test('is made to show more by its owner alone, after the password', async () => {
    const id = await keep(['first'])
    const path = pathIn((await publish(id)).html)
    const { rows } = await sql<{ id: string }>`
      update conversation_links set through_position = 2 where conversation_id = ${id}::uuid
      returning id`.execute(app.app.db)
    const update = `/account/links/${rows[0]?.id}/update`
    await sql`update conversations set message_count = 4 where id = ${id}::uuid`.execute(app.app.db)
    expect((await ada.browser.open('/account/links')).html).toContain(update)
    await forgetProof()
    await ada.browser.open(update)
    const asked = await ada.browser.submit(update)
    expect(asked.text).toContain('show more by a public link')
    const moved = await ada.browser.submit(update, { your_password: PASSWORD })
    expect(moved.text).toContain('The link shows more now.')
    const after =
      await sql`select through_position from conversation_links where conversation_id = ${id}::uuid`.execute(
        app.app.db,
      )
    expect(after.rows).toEqual([{ throughPosition: 4 }])
    const eve = await signUp(app)
    expect((await eve.browser.open(update)).status).toBe(404)
    expect((await preview(id)).status).toBe(200)
    expect((await eve.browser.open(`/account/links/public?conversation=${id}`)).status).toBe(404)
    expect((await stranger().open(path)).status).toBe(200)
  })

  test('is refused for longer than the operator allows', async () => {
    const id = await keep(['too long'])
    expect(await publish(id, { ends_after: '8' })).toMatchObject({ status: 422 })
    expect((await ada.browser.open(`/account/links?conversation=${id}`)).text).toMatch(
      /Your links\s*None\./,
    )
  })

  test('is ended alone, or with all others, at once', async () => {
    const [one, two] = [await keep(['one']), await keep(['two'])]
    const paths = [pathIn((await publish(one)).html), pathIn((await publish(two)).html)]
    await ada.browser.open(`/account/links?conversation=${one}`)
    const id = /links\/([0-9a-f-]{36})\/end/.exec(ada.browser.page.html)?.[1]
    await ada.browser.submit(`/account/links/${id}/end`)
    const statuses = async () =>
      Promise.all(paths.map(async (path) => (await stranger().open(path)).status))
    expect(await statuses()).toEqual([404, 200])
    const ended = await ada.browser.submit('/account/links/end')
    expect(ended.text).toContain('None of your links works any more.')
    expect(await statuses()).toEqual([404, 404])
  })

  test('tells the audit log once a day that a crawler opened it, and keeps it from listing the page', async () => {
    const path = pathIn((await publish(await keep(['indexed by nobody']))).html)
    const crawl = (userAgent: string) =>
      fetch(`${app.baseUrl}${path}`, { headers: { 'user-agent': userAgent } })
    const events = async () => {
      const { rows } = await sql<Record<string, string>>`
        select actor_kind, actor_id, address_prefix, target_kind, detail from audit_events
        where action = 'link.crawled' order by seq`.execute(app.app.db)
      return rows
    }
    await crawl('Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0')
    expect(await events()).toEqual([])
    const bots = ['Slackbot-LinkExpanding 1.0', 'Mozilla/5.0 (compatible; Googlebot/2.1)', 'x-bot']
    const answers = await Promise.all(bots.map(crawl))
    for (const answer of answers) {
      expect(answer.headers.get('x-robots-tag')).toBe('noindex, nofollow, noarchive')
    }
    const [event, ...others] = await events()
    expect(others).toEqual([])
    expect(event).toMatchObject({ actorKind: 'user', actorId: null, targetKind: 'link' })
    expect(event?.addressPrefix).toMatch(/^127\.0\.0\.0\/24$|^::1/)
    expect(JSON.parse(event?.detail ?? '')).toEqual({
      conversationId: expect.any(String),
      crawler: expect.stringMatching(/^(slack|google|other)$/),
    })
    await sql`update conversation_links set crawled_on = crawled_on - 1`.execute(app.app.db)
    await crawl('Twitterbot/1.0')
    expect(await events()).toHaveLength(2)
    await sql`update conversation_links set crawled_on = null, audience = 'everybody'`.execute(
      app.app.db,
    )
    expect((await crawl('Twitterbot/1.0')).status).toBe(404)
    expect(await events()).toHaveLength(2)
    await sql`update conversation_links set audience = 'public'`.execute(app.app.db)
  })

  test('dies with the account', async () => {
    const eve = await signUp(app)
    const id = await keepConversation(app, eve.userId, ['of Eve'], 'an answer')
    await eve.browser.open(`/account/links/public?conversation=${id}`)
    const path = pathIn((await eve.browser.submit('/account/links/public')).html)
    expect((await stranger().open(path)).status).toBe(200)
    await app.app.services.userAdministration.delete('operator', eve.username)
    expect((await stranger().open(path)).status).toBe(404)
  })
})

test('with LINKS=signed-in there are no public ones, and old ones need an account', async () => {
  const app = await startApp({ kind: 'embedded' })
  const ada = await signUp(app)
  const id = await keepConversation(app, ada.userId, ['once public'], 'an answer')
  expect((await ada.browser.open(`/account/links/public?conversation=${id}`)).status).toBe(404)
  await ada.browser.open(`/account/shares?conversation=${id}`)
  expect(ada.browser.page.html).not.toContain('links/public')
  const made = await ada.browser.submit('/account/links')
  expect(made.status).toBe(201)
  const path = /\/shared\/share_[\w-]+/.exec(made.html)?.[0] ?? ''
  await sql`update conversation_links set audience = 'public'`.execute(app.app.db)
  expect((await openBrowser(app.baseUrl).open(path)).status).toBe(404)
  expect((await ada.browser.open(path)).text).toContain('once public')
  await app.close()
})

test.each(['LINKS', 'SHARING'])(
  'with %s=off there are neither links nor pages',
  async (setting) => {
    const app = await startApp({ kind: 'embedded', env: { [setting]: 'off' } })
    const ada = await signUp(app)
    const id = await keepConversation(app, ada.userId, ['mine'], 'an answer')
    await sql`insert into conversation_links (id, token_hash, conversation_id, audience, through_position, created_by, expires_at)
    values (gen_random_uuid(), sha256(${`share_${'a'.repeat(43)}`}::text::bytea), ${id}::uuid, 'public', 2, ${ada.userId}::uuid, now() + interval '1 day')`.execute(
      app.app.db,
    )
    for (const path of [`/shared/share_${'a'.repeat(43)}`, '/account/links']) {
      expect((await ada.browser.open(path)).status).toBe(404)
      expect(ada.browser.page.text).not.toContain('mine')
    }
    await app.close()
  },
)
