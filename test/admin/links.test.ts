/** What the operator sees of links, and ends. */

import { afterAll, beforeAll, expect, test } from 'vitest'
import { listLinks, revokeAllLinks } from '../../src/admin/links/links.ts'
import { openBrowser } from '../support/browser.ts'
import { describeDatabases } from '../support/databases.ts'
import { keepConversation } from '../support/kept-conversation.ts'
import { browserSession, signUp } from '../support/signed-up.ts'
import { startApp, type TestApp } from '../support/start-app.ts'

describeDatabases('the links of all users', (kind) => {
  let app: TestApp
  beforeAll(async () => {
    app = await startApp({ kind, env: { LINKS: 'public' } })
  })
  afterAll(() => app.close())

  const printed = async (work: (print: (line: string) => void) => Promise<void>) => {
    const lines: string[] = []
    await work((line) => lines.push(line))
    return lines
  }

  test('are listed by id and figure, without a title, and ended: public ones, or all', async () => {
    const { services } = app.app
    const made: { id: string; path: string }[] = []
    for (const readers of ['public', 'signed-in', 'signed-in'] as const) {
      const ada = await signUp(app)
      const conversationId = await keepConversation(app, ada.userId, ['canary-text'], 'an answer')
      const caller = await browserSession(app, ada.userId)
      const label = 'canary-label'
      const { id, url } = await services.links.make(caller, { conversationId, readers, label })
      made.push({ id, path: new URL(url).pathname })
    }
    const [first, second] = made
    const page = await printed((print) =>
      listLinks(services, { after: undefined, limit: 2 }, print),
    )
    expect(page.slice(1, 3).map((line) => line.split('  ')[0])).toEqual([first?.id, second?.id])
    expect(page.at(-1)).toBe(`There are more: links list --limit 2 --after ${second?.id}`)
    const rest = await printed((print) =>
      listLinks(services, { after: second?.id, limit: 2 }, print),
    )
    expect(rest).toHaveLength(2)
    for (const canary of ['canary', 'kept', 'User-', 'share_']) {
      expect([...page, ...rest].join()).not.toContain(canary)
    }
    const open = async () => (await openBrowser(app.baseUrl).open(first?.path ?? '')).status
    expect(await open()).toBe(200)
    expect(await printed((print) => revokeAllLinks(services, true, print))).toEqual([
      '1 public links ended',
    ])
    expect(await open()).toBe(404)
    expect(await printed((print) => revokeAllLinks(services, false, print))).toEqual([
      '2 links ended',
    ])
    const empty = await printed((print) =>
      listLinks(services, { after: undefined, limit: 9 }, print),
    )
    expect(empty).toHaveLength(1)
    const events = await app.app.repositories.auditEvents.page(
      '00000000-0000-0000-0000-000000000000',
      null,
      1,
    )
    expect(events[0]).toMatchObject({ action: 'link.revoked', actorKind: 'operator' })
    expect(JSON.parse(events[0]?.detail ?? '')).toEqual({ links: 2, onlyPublic: false })
  })
})
