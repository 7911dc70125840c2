/** Every form of the pages, read from their routes: none of them does anything for another site. */

import { readdirSync, readFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { newId } from '../../../src/crypto/random.ts'
import { startApp, type TestApp } from '../../support/start-app.ts'
import { signUp, type Visitor } from './visiting.ts'

const OWN = 'https://gateway.example'
const pages = new URL('../../../src/web/pages/', import.meta.url)
/** What stands for a part of an address in the templates of routes. */
const PARTS: Record<string, readonly string[]> = {
  base: ['/account/teams', '/admin/teams'],
  act: ['role', 'suspend'],
  SHARED_PATTERN: ['/shared/some-secret'],
  LINKED: ['/shared/some-secret'],
}

function addressesIn(file: string): string[] {
  const text = readFileSync(new URL(file, pages), 'utf8')
  const found = text.matchAll(/router\.post\(\s*(['`])(.*?)\1/gs)
  return [...found].flatMap(([, , route = '']) => filled(route))
}

function filled(route: string): string[] {
  const part = /\$\{(\w+)\}/.exec(route)
  if (part === null) return [route.replace(/:\w+/g, () => newId())]
  return (PARTS[part[1] ?? ''] ?? []).flatMap((value) => filled(route.replace(part[0], value)))
}

const addresses = [
  ...new Set(
    readdirSync(pages, { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.ts'))
      .flatMap(addressesIn),
  ),
].sort()

let app: TestApp
let ada: Visitor
beforeAll(async () => {
  app = await startApp({ kind: 'embedded', env: { PUBLIC_URL: OWN, LINKS: 'public' } })
  ada = await signUp(app)
})
afterAll(() => app.close())

test('there are forms to forge', () => {
  expect(addresses.length).toBeGreaterThan(50)
  for (const path of ['/payment', '/team', '/money/key', '/money/cap']) {
    expect(
      addresses.some((address) => address.endsWith(path)),
      path,
    ).toBe(true)
  }
})

test.each(addresses)('%s is refused without the proof of the page', async (address) => {
  for (const headers of [{ origin: OWN }, { origin: 'https://evil.example' }]) {
    const page = await ada.browser.post(address, { payer: 'sender', payers: 'any' }, headers)
    expect(page.status).toBe(403)
    expect(page.text).toContain('sent from another site')
  }
})
