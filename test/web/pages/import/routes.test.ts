import { afterAll, beforeAll, expect, test } from 'vitest'
import { sample } from '../../../services/imports/reading.ts'
import { describeDatabases } from '../../../support/databases.ts'
import { startApp, type TestApp } from '../../../support/start-app.ts'
import { cookieOf, csrfTokenIn, signUp, type Visitor } from '../visiting.ts'

describeDatabases('/account/import', (kind) => {
  let app: TestApp
  let ada: Visitor
  beforeAll(async () => {
    app = await startApp({ kind })
    ada = await signUp(app)
  })
  afterAll(() => app.close())

  /** As a browser sends the form of the page. */
  async function upload(
    { browser }: Visitor,
    file: Uint8Array | string,
    {
      csrf,
      choices = {},
      fileFirst = false,
      headers = {},
    }: Partial<{
      csrf: string
      choices: Record<string, string>
      fileFirst: boolean
      headers: object
    }> = {},
  ) {
    const page = await browser.open('/account/import')
    const form = new FormData()
    const addFile = () =>
      form.append('file', new Blob([file as Uint8Array<ArrayBuffer>]), 'conversations.json')
    if (fileFirst) addFile()
    form.append('csrf_token', csrf ?? csrfTokenIn(page.html))
    for (const [name, value] of Object.entries(choices)) form.append(name, value)
    if (!fileFirst) addFile()
    const { name, value } = cookieOf(browser, 'session')
    const answer = await fetch(`${app.baseUrl}/account/import`, {
      method: 'POST',
      body: form,
      redirect: 'manual',
      headers: {
        cookie: `${name}=${value}`,
        origin: new URL(app.config.http.publicUrl).origin,
        'sec-fetch-site': 'same-origin',
        accept: 'text/html',
        ...headers,
      },
    })
    return { status: answer.status, text: await answer.text(), headers: answer.headers }
  }
  const stored = async ({ userId }: Visitor) => app.app.repositories.conversations.count(userId)

  test('the page has a form for a file, and says how scripts do it', async () => {
    const page = await ada.browser.open('/account/import')
    expect(page.status).toBe(200)
    expect(page.html).toContain('enctype="multipart/form-data"')
    expect(page.text).toContain('curl -T conversations.json')
    expect((await ada.browser.open('/account/data')).html).toContain('href="/account/import"')
  })

  test('tells what became of the file', async () => {
    const { status, text } = await upload(ada, new Uint8Array(sample('claude-ai.json')))
    expect(status).toBe(200)
    expect(text).toContain('2 of 4 conversations imported.')
    expect(text).toContain('33333333-3333-4333-8333-333333333333')
    expect(text).toContain('has no text')
    expect(text).toContain('flux_capacitor')
    expect(await stored(ada)).toBe(2)
  })

  test('what the file names is text on the page', async () => {
    const bob = await signUp(app)
    const script = '<script>alert(1)</script>'
    const { text } = await upload(
      bob,
      JSON.stringify([
        { uuid: script, mapping: script },
        { uuid: script, chat_messages: [{ sender: 'human', content: [{ type: script }] }] },
      ]),
    )
    expect(text).not.toContain(script)
    expect(text).toContain('&lt;script&gt;')
  })

  test.each([
    ['without its proof of origin', { csrf: '' }, 403],
    ['with the proof after the file', { fileFirst: true }, 403],
    ['from another site', { headers: { 'sec-fetch-site': 'cross-site' } }, 403],
    ['without a session', { headers: { cookie: '' } }, 303],
    ['with a broken form', { headers: { 'content-type': 'multipart/form-data' } }, 400],
  ])('%s nothing is stored', async (_, options, status) => {
    const eve = await signUp(app)
    const answer = await upload(eve, new Uint8Array(sample('claude-ai.json')), options)
    expect(answer.status).toBe(status)
    expect(await stored(eve)).toBe(0)
  })

  test('a file that is no export is refused on the page', async () => {
    const { status, text } = await upload(ada, 'no JSON')
    expect(status).toBe(400)
    expect(text).toContain('The file is not JSON')
    expect(text).toContain('role="alert"')
  })

  test('what was chosen is still chosen after a file was refused', async () => {
    const choices = { grown: 'branch', branches: 'all' }
    const { text } = await upload(ada, 'no export', { choices })
    for (const chosen of Object.values(choices)) {
      expect(text).toContain(`<option value="${chosen}" selected>`)
    }
  })

  test('a form without a file is refused on the page', async () => {
    await ada.browser.open('/account/import')
    const answer = await ada.browser.submit('/account/import', { file: null })
    expect(answer.status).toBe(400)
    expect(answer.text).toContain('The file is not JSON: it is empty.')
  })
})
