/** Debian's Chromium, for what only a real browser can tell. */

import { existsSync } from 'node:fs'
import { type Browser, chromium, type Page } from 'playwright-core'
import { isGiven } from './left-out.ts'

const EXECUTABLE = '/usr/bin/chromium'

export const hasChromium = isGiven(existsSync(EXECUTABLE), {
  leavesOut: 'tests in a browser',
  because: `there is no ${EXECUTABLE}`,
  demandedBy: 'REQUIRE_CHROMIUM',
})

/** Nothing of its own goes out to the network. */
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  // The same picture on every machine.
  '--font-render-hinting=none',
  '--hide-scrollbars',
]

/** Without a screen, with a profile of its own that is gone when it is closed. */
export function openChromium(flags: readonly string[] = []): Promise<Browser> {
  return chromium.launch({
    executablePath: EXECUTABLE,
    headless: true,
    args: [...FLAGS, ...flags],
  })
}

/** What goes wrong in a page without being seen. */
export type Observed = {
  /** Errors on the console, where Chromium reports violations of the CSP too. */
  errors: string[]
  /** Origins that the page or its links and forms asked something of. */
  origins: Set<string>
  /** Begins anew. */
  forget(): void
}

/** @param page has to be fresh: what happened before is not known. */
export function observe(page: Page): Observed {
  const observed: Observed = {
    errors: [],
    origins: new Set(),
    forget() {
      observed.errors = []
      observed.origins = new Set()
    },
  }
  page.on('console', (message) => {
    if (message.type() === 'error') observed.errors.push(message.text())
  })
  page.on('pageerror', (error) => observed.errors.push(String(error)))
  page.on('request', (request) => observed.origins.add(new URL(request.url()).origin))
  return observed
}
