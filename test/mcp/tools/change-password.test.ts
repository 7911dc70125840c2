import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { eras, startApp, type TestApp, type TestUser } from '../../support/start-app.ts'

const NEW_PASSWORD = 'a password of my own'

describe.each(eras)('change_password (%s)', (era) => {
  let app: TestApp
  beforeAll(async () => {
    app = await startApp({ kind: 'embedded' })
  })
  afterAll(() => app.close())

  const signIn = async ({ username }: TestUser, password: string) => {
    const anyone = await app.connect(era)
    return (await anyone.call('authenticate_user', { username, password })).structured
  }

  test('the new password signs in, the old one does not, and other sessions have ended', async () => {
    const user = await app.register()
    const other = await signIn(user, user.password)
    const client = await app.connect(era, user.accessToken)
    const changed = await client.call('change_password', {
      current_password: user.password,
      new_password: NEW_PASSWORD,
    })
    expect(changed.structured).toEqual({ success: true, data: { revoked_sessions: 1 } })
    expect(changed.text).not.toContain(NEW_PASSWORD)
    expect((await signIn(user, user.password)).error.code).toBe('invalid_credentials')
    expect((await signIn(user, NEW_PASSWORD)).success).toBe(true)
    const anyone = await app.connect(era)
    const access_token: string = other.data.access_token
    const ended = await anyone.call('get_conversations', { access_token })
    expect(ended.structured.error.code).toBe('unauthenticated')
    expect((await client.call('get_conversations')).isError).toBe(false)
    const logged = app.logLines.join('')
    expect(logged).not.toContain(NEW_PASSWORD)
    expect(logged).not.toContain(user.password)
  })

  test.each([
    ['a wrong current password', () => ({ current_password: 'wrong' }), 'invalid_credentials'],
    ['one that is too short', () => ({ new_password: 'eleven char' }), 'invalid_input'],
    ['one that many people use', () => ({ new_password: 'iloveyou1234' }), 'invalid_input'],
    ['the username', (name: string) => ({ new_password: name.toUpperCase() }), 'invalid_input'],
  ])('refuses %s, names its argument, and the old password stays', async (_, wrong, code) => {
    const user = await app.register()
    const client = await app.connect(era, user.accessToken)
    const { username, password } = user
    const good = { current_password: password, new_password: NEW_PASSWORD }
    const { structured } = await client.call('change_password', { ...good, ...wrong(username) })
    expect(structured.error.code).toBe(code)
    // Schemas name all that are wrong, as `fields`.
    const { field, fields = [field] } = structured.error.details
    expect(fields).toEqual(Object.keys(wrong(username)))
    expect((await signIn(user, password)).success).toBe(true)
  })
})
