/**
 * Makes the pictures of README.md anew, in docs/images/: `npx tsx test/browser/readme-images.ts`.
 *
 * The pages are real, of a gateway on this machine that believes to be gateway.example.
 */

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Page } from 'playwright-core'
import { openChromium } from '../support/chromium.ts'
import { freePort } from '../support/free-port.ts'
import { CLAUDE } from './pages.ts'
import { withPalette } from './palette-png.ts'
import { askForAccess, enter, settle } from './people.ts'
import { openSite } from './site.ts'

const IMAGES = fileURLToPath(new URL('../../docs/images/', import.meta.url))
const MAX_BYTES = 80_000
const APPS = [
  { name: 'Claude', redirectUri: CLAUDE, limit: '20' },
  { name: 'Visual Studio Code', redirectUri: 'http://127.0.0.1:33418/' },
]

const dataDir = await mkdtemp(join(tmpdir(), 'gateway-images-'))
const port = await freePort()
const url = 'https://gateway.example'
const browser = await openChromium([`--host-resolver-rules=MAP gateway.example 127.0.0.1:${port}`])
const site = await openSite({ PORT: String(port), PUBLIC_URL: url }, { dataDir })
try {
  await mkdir(IMAGES, { recursive: true })
  const page = await browser.newPage({
    ignoreHTTPSErrors: true,
    deviceScaleFactor: 2,
    viewport: { width: 640, height: 800 },
  })
  site.app.claude.setReply(() => ({ text: 'An answer of some length. '.repeat(4_000) }))
  await settle(site, page, await enter(site, page, 'ada'), APPS)
  await page.goto(await askForAccess(site, page, { name: 'Claude', redirectUri: CLAUDE }))
  await page.getByLabel('Monthly limit in USD').fill('20')
  await shoot(page, 'consent')
  await page.setViewportSize({ width: 1000, height: 800 })
  await page.goto(`${url}/account`)
  await shoot(page, 'account')
} finally {
  await browser.close()
  await site.close()
  await rm(dataDir, { recursive: true, force: true })
}

/** @throws Error when the picture is too large to be shown in passing. */
async function shoot(page: Page, name: string): Promise<void> {
  const { height } = (await page.locator('main').boundingBox()) ?? { height: 0 }
  await page.setViewportSize({ width: page.viewportSize()?.width ?? 0, height: Math.ceil(height) })
  const png = withPalette(await page.screenshot({ fullPage: true }))
  if (png.length > MAX_BYTES) throw new Error(`${name}.png has ${png.length} bytes`)
  await writeFile(join(IMAGES, `${name}.png`), png)
  process.stdout.write(`docs/images/${name}.png: ${png.length} bytes\n`)
}
