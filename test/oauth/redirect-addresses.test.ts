/** Where clients may have the browser sent back to, at registration and ever after. */

import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { KeyRing } from '../../src/crypto/sealed.ts'
import { APP_SCHEMES, isAllowedRedirect } from '../../src/oauth/redirect-addresses.ts'
import { hashOf } from '../../src/services/access/sessions.ts'
import { Vault } from '../../src/services/keys/vault.ts'
import { describeDatabases } from '../support/databases.ts'
import { startOAuthApp } from '../support/oauth-app.ts'
import { createFlow, type OAuthFlow } from '../support/oauth-flow.ts'
import { newPerson } from '../support/oauth-person.ts'
import type { TestApp } from '../support/start-app.ts'

/** As real clients register them, and what the rule adds. */
const ALLOWED = [
  'https://claude.ai/api/mcp/auth_callback',
  'https://vscode.dev/redirect',
  'https://www.cursor.com/agents/mcp/oauth/callback',
  'https://raycast.com/redirect?packageName=Extension',
  'https://client.example',
  'https://client.example:8443/cb?a=b%20c',
  'https://client.example:443/cb',
  'http://127.0.0.1/',
  'http://127.0.0.1:33418/',
  'http://127.200.3.4:8080/cb',
  'http://localhost:54212/callback',
  'http://localhost',
  'http://[::1]:6274/oauth/callback',
  'com.example.app:/callback',
  'com.example.app://callback',
  'com.googleusercontent.apps.123-abc:/oauth2redirect',
  'com.raycast:/oauth?package_name=Extension',
  'xn--bcher-kva.example:/cb',
  'cursor://anysphere.cursor-mcp/oauth/callback',
  'cursor://anysphere.cursor-retrieval/oauth/user-linear/callback',
  'vscode://saoudrizwan.claude-dev/mcp-auth/callback/0a1b2c',
  'vscode-insiders://RooVeterinaryInc.roo-cline/mcp/oauth-callback',
  'windsurf://codeium.windsurf/oauth/callback',
  'raycast://oauth?package_name=mcp_server_x_(dev)',
  'warp://mcp/oauth2callback',
]

/** What starts something on one of the systems, or shows something other than an app. */
const SCHEMES = `about acrobat admin afp android-app app apt appinstaller bitbucket blob bluetooth
  bookmarks callto calculator cap chrome chrome-extension cid cmd data dav devtools dict dns edge
  facetime feed file filesystem finger fish ftp ftps geo git github-windows googlechrome gopher
  help-viewer hcp icon im imap intent ipp iris irc itms itms-services jar javascript jdbc
  ldap ldaps livescript local localhost magnet mailto man maps market mhtml microsoft-edge mid
  mk mms mocha moz-extension moz-icon ms-access ms-appinstaller ms-availablenetworks ms-browser-extension
  ms-calculator ms-cxh ms-excel ms-gamingoverlay ms-help ms-infopath ms-its ms-msdt ms-officecmd
  ms-people ms-powerpoint ms-project ms-publisher ms-quick-assist ms-screenclip ms-search ms-settings
  ms-store ms-visio ms-windows-store ms-word ms-xbl-3d8b930f nfs news nntp onenote opera outlook
  pkg platform qrcode rdar rdp res resource rlogin rtsp s3 search search-ms shell shortcuts sip
  sips skype slack sms smb smsto spotify ssh steam steamlink svn tel telnet tftp tn3270 trello tv
  unity urn vbscript view-source vnc vsls wais webcal windowsdefender wsman wyciwyg ws wss x-apple-helpbasic
  x-man-page x-web-search xmpp ymsgr zoommtg zoomus someapp`
  .split(/\s+/)
  .map((scheme) => scheme.trim())

/** With a dot, and no app's own. */
const DOTTED = [
  'x-apple.systempreferences:com.apple.preference.security',
  'x-apple.systempreferences:/security',
  'microsoft.windows.camera:/x',
  'microsoft.windows.photos.crop:/x',
  'com.microsoft.builder3d:/x',
  'com.apple.tv://x',
  'com.example.app:callback',
  'com.:/x',
  '.com:/x',
  'com..app:/x',
  'c.app:/x',
  'com.app-:/x',
  'com.ex+ample:/x',
  'com.example',
]

/** Of addresses that would be good, plainly written. */
const SPELLINGS = [
  ' https://client.example/cb',
  'https://client.example/cb ',
  '\thttps://client.example/cb',
  'ht\ntps://client.example/cb',
  'https://client.example/c\u0000b',
  'https://client.example/c\rb',
  'https://client.example/ümlaut',
  'https://clıent.example/cb',
  'https://client.example/\u202ecb',
  'HTTPS://client.example/cb',
  'Https://client.example/cb',
  'https:client.example/cb',
  'https:/client.example/cb',
  'https:///client.example/cb',
  'https:\\\\client.example\\cb',
  'https://client.example\\@evil.example/cb',
  'https://client.example@evil.example/cb',
  'https://:@evil.example/cb',
  'https://user:password@client.example/cb',
  'https://client.example/cb#',
  'https://client.example/cb#fragment',
  'https://CLIENT.example/cb',
  'https://%63lient.example/cb',
  'https://client.example:/cb',
  'https://client.example:0443/cb',
  'https://client.example/<cb>',
  'https://client.example/"cb',
  'https://0x7f000001/cb',
  'https://',
  '//client.example/cb',
  '/cb',
  '',
  'http://client.example/cb',
  'http://localhost.evil.example/cb',
  'http://localhost@evil.example/cb',
  'http://127.0.0.1.evil.example/cb',
  'http://127.1/cb',
  'http://0x7f.0.0.1/cb',
  'http://2130706433/cb',
  'http://0.0.0.0/cb',
  'http://[::]/cb',
  'http://[::ffff:127.0.0.1]/cb',
  'http://[0:0:0:0:0:0:0:1]/cb',
  'http://localhost./cb',
  'http://LOCALHOST/cb',
  'http://10.0.0.1/cb',
  'http://169.254.169.254/latest',
  'JavaScript:alert(1)',
  'java\nscript:alert(1)',
  ' javascript:alert(1)',
  'javascript://client.example/%0aalert(1)',
  'javascript://anysphere.cursor-mcp/oauth/callback',
  'blob:https://client.example/cb',
  'view-source:https://client.example/cb',
  'intent://client.example/cb#Intent;scheme=https;end',
  'Cursor://anysphere.cursor-mcp/oauth/callback',
  'cursor:anysphere.cursor-mcp/oauth/callback',
  'cursor://anysphere.cursor-mcp/oauth/callback#x',
  'cursor://x@anysphere.cursor-mcp/oauth/callback',
  'cursor://anysphere.cursor-mcp/oauth/callback/../../install',
]

/** Of known apps, but none of their callbacks. */
const NO_CALLBACKS = [
  'cursor://anysphere.cursor-deeplink/mcp/install?name=x&config=eyJ1cmwiOiJ4In0=',
  'cursor://anysphere.cursor-deeplink/prompt?text=x',
  'vscode://file/etc/passwd',
  'vscode://file/callback',
  'vscode://vscode.git/clone?url=https://evil.example/x',
  'vscode://vscode.git/clone',
  'vscode://vscode-remote/ssh-remote+evil.example/callback',
  'vscode:extension/evil.callback',
  'vscode:mcp/install?callback',
  'windsurf://codeium.windsurf/openChat?prompt=x',
  'windsurf://codeium.windsurf',
  'raycast://extensions/evil/oauth',
  'raycast://oauth?package_name=x&arguments=y',
  'warp://action/new_tab?path=/tmp',
  'warp://mcp/install',
]

const DANGEROUS = [
  ...SCHEMES.flatMap((scheme) => [
    `${scheme}:x`,
    `${scheme}:/x`,
    `${scheme}://x/callback`,
    `${scheme}://publisher.extension/oauth/callback`,
    `${scheme.toUpperCase()}://x`,
  ]),
  ...DOTTED,
  ...SPELLINGS,
  ...NO_CALLBACKS,
]

describe('the rule', () => {
  test.each(ALLOWED)('takes %s', (address) => expect(isAllowedRedirect(address)).toBe(true))

  test('takes nothing else', () => {
    expect(DANGEROUS.length).toBeGreaterThan(600)
    expect(DANGEROUS.filter(isAllowedRedirect)).toEqual([])
    expect(
      [undefined, null, 1, {}, ['https://client.example/cb']].filter(isAllowedRedirect),
    ).toEqual([])
  })

  test('takes no good address with a character of ASCII in front of it', () => {
    const characters = Array.from({ length: 0x80 }, (_, code) => String.fromCharCode(code))
    const spoiled = characters.map((character) => `${character}https://client.example/cb`)
    expect(spoiled.filter(isAllowedRedirect)).toEqual([])
  })
})

test('docs/OPERATIONS.md names the apps whose schemes have no dot', () => {
  const text = readFileSync(new URL('../../docs/OPERATIONS.md', import.meta.url), 'utf8')
  expect(APP_SCHEMES.length).toBeGreaterThan(5)
  for (const scheme of APP_SCHEMES) expect(text).toMatch(new RegExp(`\`${scheme}[:\`]`))
})

describeDatabases('an address outside of it', (kind) => {
  let app: TestApp
  let flow: OAuthFlow
  const encryptionKey = randomBytes(32)
  beforeAll(async () => {
    const env = { ENCRYPTION_KEY: encryptionKey.toString('base64') }
    app = await startOAuthApp({ kind, env })
    flow = createFlow(app.baseUrl)
  })
  afterAll(() => app.close())

  test('is refused at registration, alone and beside good ones', async () => {
    const some = [
      'ms-msdt:/id',
      'search-ms:query=x',
      'mailto:x@y.example',
      ...NO_CALLBACKS,
      ...DOTTED,
    ]
    for (const address of some) {
      for (const redirect_uris of [[address], ['https://client.example/cb', address]]) {
        const { status, body } = await flow.register({ redirect_uris })
        expect([address, status, body.error]).toEqual([address, 400, 'invalid_redirect_uri'])
        expect(body.error_description).toContain('https')
      }
    }
  })

  /** As a build with another rule would have stored it. */
  async function register(redirectUris: readonly string[]): Promise<string> {
    const id = await flow.newClient({ redirect_uris: ['https://client.example/cb'] })
    await replace('Client', hashOf(id), (client) => ({ ...client, redirect_uris: redirectUris }))
    return id
  }

  async function replace(
    model: string,
    key: Buffer,
    change: (record: Record<string, unknown>) => object,
  ): Promise<void> {
    const vault = new Vault(new KeyRing(encryptionKey, []))
    const row = await app.app.db
      .selectFrom('oauthRecords')
      .select('sealed')
      .where('model', '=', model)
      .where('key', '=', key)
      .executeTakeFirstOrThrow()
    const sealed = vault.sealOAuthRecord(
      model,
      key,
      change(vault.openOAuthRecord(model, key, row.sealed)),
    )
    await app.app.db
      .updateTable('oauthRecords')
      .set({ sealed })
      .where('model', '=', model)
      .where('key', '=', key)
      .execute()
  }

  async function expectPage(url: URL): Promise<void> {
    const answer = await fetch(url, { redirect: 'manual' })
    expect([answer.status, answer.headers.get('location')]).toEqual([400, null])
    expect(await answer.text()).toContain('<html')
  }

  test('leads nowhere from a client that was stored with it', async () => {
    for (const redirectUri of ['ms-msdt:/id', 'intent://x/callback', 'someapp://callback']) {
      await expectPage(flow.authorization(await register([redirectUri]), { redirectUri }).url)
      const mixed = await register(['https://client.example/cb', redirectUri])
      await expectPage(flow.authorization(mixed, { redirectUri }).url)
      const change = { redirectUri, scope: 'x', response_type: 'token' }
      await expectPage(flow.authorization(mixed, change).url)
      const good = flow.authorization(mixed, { redirectUri: 'https://client.example/cb' })
      const answer = await fetch(good.url, { redirect: 'manual' })
      expect(answer.headers.get('location')).toMatch(/^\/connect\/|\/connect\//)
    }
  })

  test.each(['Approve', 'Deny'] as const)(
    'leads nowhere by %s on a page that was open',
    async (decision) => {
      const person = newPerson(app.baseUrl)
      const id = await flow.newClient({ redirect_uris: ['https://client.example/cb'] })
      const asked = flow.authorization(id, { redirectUri: 'https://client.example/cb' })
      const { url } = await person.openConsent(asked.url)
      await replace('Client', hashOf(id), (client) => ({
        ...client,
        redirect_uris: ['ms-msdt:/id', 'https://client.example/cb'],
      }))
      const uid = url.pathname.split('/').at(-1) ?? ''
      await replace('Interaction', hashOf(uid), (interaction) => ({
        ...interaction,
        params: { ...(interaction.params as object), redirect_uri: 'ms-msdt:/id' },
      }))
      await expect(person.decide({ decision })).rejects.toThrow('404 instead of the way back')
    },
  )
})
