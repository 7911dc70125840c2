/**
 * The pictures of README.md: real pages, of a gateway on this machine that goes by the name of
 * gateway.example.
 */

import { mkdir, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import type { Page } from 'playwright-core'
import { openChromium } from '../support/chromium.ts'
import { freePort } from '../support/free-port.ts'
import { CLAUDE, MEMBER } from './pages.ts'
import { withPalette } from './palette-png.ts'
import { type App, askForAccess, enter, MEMBER_KEY, settle } from './people.ts'
import { openSite, type Site } from './site.ts'

const URL_SHOWN = 'https://gateway.example'
const IMAGES = fileURLToPath(new URL('../../docs/images/', import.meta.url))
const CONNECTED: App = { name: 'Claude', redirectUri: CLAUDE, limit: '20' }
const EDITOR: App = { name: 'Visual Studio Code', redirectUri: 'http://127.0.0.1:33418/' }

/** Writes consent.png and account.png to docs/images. @returns their sizes in bytes, by name. */
export async function makeReadmeImages(): Promise<Record<string, number>> {
  const port = await freePort()
  const site = await openSite({ PORT: String(port), PUBLIC_URL: URL_SHOWN })
  const browser = await openChromium([`--host-resolver-rules=MAP * 127.0.0.1:${port}`])
  try {
    await mkdir(IMAGES, { recursive: true })
    const page = await browser.newPage({ ignoreHTTPSErrors: true, deviceScaleFactor: 2 })
    return { consent: await pictureConsent(page, site), account: await pictureAccount(page) }
  } finally {
    await browser.close()
    await site.close()
  }
}

async function pictureConsent(page: Page, site: Site): Promise<number> {
  site.app.claude.setValidKeys([MEMBER_KEY])
  site.app.claude.setReply(() => 'An answer of some length. '.repeat(5_000))
  const member = await enter(site, page, MEMBER)
  await settle(site, page, member, [CONNECTED, EDITOR])
  await page.setViewportSize({ width: 640, height: 600 })
  await page.goto(await askForAccess(site, CONNECTED))
  await page.getByLabel('Monthly limit in USD').fill('20')
  return picture(page, 'consent')
}

async function pictureAccount(page: Page): Promise<number> {
  await page.setViewportSize({ width: 1000, height: 600 })
  await page.goto(`${URL_SHOWN}/account`)
  return picture(page, 'account')
}

/** Without the footer, and without a sign of the keyboard. */
async function picture(page: Page, name: string): Promise<number> {
  const width = page.viewportSize()?.width ?? 0
  const height = await page.evaluate<number>(`document.activeElement.blur(), scrollTo(0, 0),
    Math.max(...[...document.querySelectorAll('main > *')]
      .map((element) => element.getBoundingClientRect().bottom)) + 32`)
  const clip = { x: 0, y: 0, width, height }
  const png = withPalette(await page.screenshot({ fullPage: true, clip }))
  await writeFile(`${IMAGES}${name}.png`, png)
  return png.length
}
