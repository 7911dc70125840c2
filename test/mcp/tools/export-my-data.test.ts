import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { eras, startApp, type TestApp } from '../../support/start-app.ts'

describe.each(eras)('export_my_data (%s)', (era) => {
  let app: TestApp
  beforeAll(async () => {
    app = await startApp({ kind: 'embedded', env: { PUBLIC_URL: 'https://gateway.example' } })
  })
  afterAll(() => app.close())

  test('counts, says where to download, and holds the document while it is short', async () => {
    const user = await app.register()
    const client = await app.connect(era, user.accessToken)
    await client.call('send_message', { message: 'a short message' })
    const short = await client.call('export_my_data')
    expect(short.structured.data).toMatchObject({
      conversations: 1,
      messages: 2,
      usage_rows: 1,
      download_url: 'https://gateway.example/account/export',
      data: { user: { username: user.username }, conversations: [{ messages: [{}, {}] }] },
    })
    expect(short.text).toContain('a short message')
    expect(short.text).not.toContain(user.apiKey)

    await client.call('send_message', { message: 'x'.repeat(100_001) })
    const long = await client.call('export_my_data')
    expect(long.structured.data).toEqual({
      conversations: 2,
      messages: 4,
      usage_rows: 2,
      download_url: 'https://gateway.example/account/export',
    })
  })
})
