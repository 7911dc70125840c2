import { afterAll, beforeAll, expect, test } from 'vitest'
import { hashOf } from '../../../src/services/access/sessions.ts'
import type { KeyLinks } from '../../../src/services/api-keys/key-links.ts'
import { describeDatabases } from '../../support/databases.ts'
import { type SignedUp, signUp } from '../../support/signed-up.ts'
import { startApp, type TestApp } from '../../support/start-app.ts'

describeDatabases('links to the key page', (kind) => {
  let app: TestApp
  let keyLinks: KeyLinks
  let ada: SignedUp
  let eve: SignedUp
  beforeAll(async () => {
    app = await startApp({ kind, env: { PUBLIC_URL: 'https://gateway.example' } })
    keyLinks = app.app.services.keyLinks
    ada = await signUp(app)
    eve = await signUp(app)
  })
  afterAll(() => app.close())

  const linkFor = async ({ caller }: SignedUp) => {
    const { url, expiresAt } = await keyLinks.create(caller, 'account')
    expect(url).toMatch(/^https:\/\/gateway\.example\/account\/key\?link=link_[\w-]{43}$/)
    expect(expiresAt.getTime() - Date.now()).toBeLessThanOrEqual(15 * 60_000)
    return new URL(url).searchParams.get('link') ?? ''
  }

  const enterKey = ({ caller }: SignedUp, link: string) =>
    app.app.services.accounts.replaceKey(caller, 'sk-ant-api03-entered-by-a-link', link)

  test('a link is its user’s and nobody else’s, and is used once', async () => {
    const link = await linkFor(ada)
    expect(await keyLinks.belongsTo(link, ada.userId)).toBe(true)
    expect(await keyLinks.belongsTo(link, eve.userId)).toBe(false)
    await expect(enterKey(eve, link)).rejects.toMatchObject({ code: 'forbidden' })
    const uses = await Promise.allSettled([1, 2, 3].map(() => enterKey(ada, link)))
    expect(uses.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    expect(await keyLinks.belongsTo(link, ada.userId)).toBe(false)
  })

  test('an expired link is none, and is deleted in time', async () => {
    const { oneTimeLinks } = app.app.repositories
    const tokenHash = hashOf('link_expired')
    const expiresAt = new Date(Date.now() - 1000)
    await oneTimeLinks.insert({ tokenHash, userId: ada.userId, expiresAt, purpose: 'key' }, 10)
    const live = await linkFor(ada)
    expect(await keyLinks.belongsTo('link_expired', ada.userId)).toBe(false)
    await expect(enterKey(ada, 'link_expired')).rejects.toMatchObject({ code: 'forbidden' })
    await oneTimeLinks.deleteExpired()
    await expect(
      oneTimeLinks.insert({ tokenHash, userId: ada.userId, expiresAt, purpose: 'key' }, 10),
    ).resolves.toBeUndefined()
    expect(await keyLinks.belongsTo(live, ada.userId)).toBe(true)
  })

  test('a link that was never made is none', async () => {
    expect(await keyLinks.belongsTo('', ada.userId)).toBe(false)
    await expect(enterKey(ada, 'link_made-up')).rejects.toMatchObject({ code: 'forbidden' })
  })
})
