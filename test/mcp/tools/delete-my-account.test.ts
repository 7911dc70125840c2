import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { bearer, post, toolCall } from '../../security/raw-mcp.ts'
import { eras, startApp, type TestApp } from '../../support/start-app.ts'

describe.each(eras)('delete_my_account (%s)', (era) => {
  let app: TestApp
  beforeAll(async () => {
    app = await startApp({ kind: 'embedded' })
  })
  afterAll(() => app.close())

  test('deletes the account; its token is HTTP 401 from then on, its name is free', async () => {
    const user = await app.register()
    const client = await app.connect(era, user.accessToken)
    await client.call('send_message', { message: 'soon forgotten' })
    const { username, password } = user
    const answer = await client.call('delete_my_account', { password, confirm: username })
    expect(answer.structured).toEqual({
      success: true,
      data: {
        deleted: true,
        messages_left: 0,
        messages_withdrawn: 0,
        conversations_handed_over: 0,
      },
    })
    const asked = toolCall(era, 'get_conversations', {})
    expect((await post(app.url, asked, bearer(user.accessToken))).status).toBe(401)
    const anyone = await app.connect(era)
    const gone = await anyone.call('authenticate_user', { username, password })
    expect(gone.structured.error.code).toBe('invalid_credentials')
    expect((await app.register(username)).userId).not.toBe(user.userId)
  })

  test.each([
    ['a wrong password', { password: 'wrong' }, 'invalid_credentials'],
    ['another name', { confirm: 'somebody-else' }, 'invalid_input'],
    ['no confirmation', { confirm: '' }, 'invalid_input'],
  ])('%s deletes nothing', async (_, wrong, code) => {
    const user = await app.register()
    const client = await app.connect(era, user.accessToken)
    const good = { password: user.password, confirm: user.username }
    const answer = await client.call('delete_my_account', { ...good, ...wrong })
    expect(answer.structured.error).toMatchObject({
      code,
      details: { field: Object.keys(wrong)[0] },
    })
    expect((await client.call('get_conversations')).isError).toBe(false)
  })
})
