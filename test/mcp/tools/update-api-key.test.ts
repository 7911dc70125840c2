import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { eras, startApp, type TestApp } from '../../support/start-app.ts'

describe.each(eras)('update_api_key (%s)', (era) => {
  let app: TestApp
  beforeAll(async () => {
    app = await startApp({ kind: 'embedded', env: { PUBLIC_URL: 'https://gateway.example' } })
  })
  afterAll(() => app.close())

  const connected = async () => {
    const user = await app.register()
    return { user, client: await app.connect(era, user.accessToken) }
  }

  test('without a key answers with a link for its user, and changes nothing', async () => {
    const { user, client } = await connected()
    const { structured } = await client.call('update_api_key')
    const { url, expires_at } = structured.data
    expect(Object.keys(structured.data).sort()).toEqual(['expires_at', 'url'])
    expect(url).toMatch(/^https:\/\/gateway\.example\/account\/key\?link=link_/)
    expect(Date.parse(expires_at)).toBeGreaterThan(Date.now())
    const { keyLinks } = app.app.services
    const link = new URL(url).searchParams.get('link') ?? ''
    expect(await keyLinks.belongsTo(link, user.userId)).toBe(true)
    expect(await keyLinks.belongsTo(link, (await app.register()).userId)).toBe(false)
    await client.call('send_message', { message: 'hello' })
    expect(app.claude.messageRequests().at(-1)?.key).toBe(user.apiKey)
  })

  test('with a key replaces the stored one', async () => {
    const { client } = await connected()
    const apiKey = 'sk-ant-api03-a-newer-key'
    const { structured } = await client.call('update_api_key', { anthropic_api_key: ` ${apiKey} ` })
    expect(structured).toEqual({ success: true, data: { last_four: '-key' } })
    await client.call('send_message', { message: 'hello' })
    expect(app.claude.messageRequests().at(-1)?.key).toBe(apiKey)
  })

  test('keeps the old key when the new one is refused', async () => {
    const { user, client } = await connected()
    app.claude.setValidKeys([user.apiKey])
    const refused = await client.call('update_api_key', { anthropic_api_key: 'sk-ant-api03-bad' })
    expect(refused.structured.error.code).toBe('invalid_api_key')
    expect((await client.call('send_message', { message: 'hello' })).isError).toBe(false)
    app.claude.setValidKeys(undefined)
  })
})
