/** What is looked for on every page, with nothing but the page itself to ask. */

import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { Page } from 'playwright-core'

const require = createRequire(import.meta.url)
const AXE = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8')

const WIDTHS = [1280, 390] as const
/** One picture of each width: the wide one light, the narrow one dark. */
const PICTURED = { 1280: 'light', 390: 'dark' } as const
/** The narrowest that content has to fit (WCAG 2.2, 1.4.10 Reflow). */
const NARROWEST = 320
const HEIGHT = 844
const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']
/** What the colours decide. */
const COLOUR_RULES = ['color-contrast', 'link-in-text-block']

/** Keeps note of what the Content-Security-Policy of a page forbade, from its first moment on. */
export const NOTE_VIOLATIONS = `
  globalThis.forbidden = []
  addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI }) =>
    forbidden.push(violatedDirective + ' ' + blockedURI))`

/**
 * Looks at the page that is open at both widths, in both colour schemes.
 *
 * @param screenshots the beginning of their paths; width and colour scheme follow.
 * @returns what is wrong with it.
 */
export async function inspect(page: Page, screenshots: string): Promise<string[]> {
  const wrong = [...(await unlabelled(page)), ...(await unreached(page))]
  await resize(page, NARROWEST)
  wrong.push(...(await overflow(page)))
  // Evaluated by the debugger: the page's own CSP would not let it in.
  await page.evaluate(AXE)
  for (const width of WIDTHS) {
    await resize(page, width)
    for (const colorScheme of ['dark', 'light'] as const) {
      await page.emulateMedia({ colorScheme })
      const rules = colorScheme === 'light' ? RULES : COLOUR_RULES
      const broken = [...(await overflow(page)), ...(await brokenRules(page, rules))]
      wrong.push(...broken.map((what) => `${width} px, ${colorScheme}: ${what}`))
      if (PICTURED[width] !== colorScheme) continue
      await page.screenshot({ path: `${screenshots}-${width}-${colorScheme}.png`, fullPage: true })
    }
  }
  return [...wrong, ...(await page.evaluate<string[]>('forbidden'))]
}

/** Of each rule of axe that is broken, the elements that break it. */
async function brokenRules(page: Page, runOnly: readonly string[]): Promise<string[]> {
  // Without `preload` it does not fetch the stylesheet again, which the CSP forbids.
  const options = { runOnly, resultTypes: ['violations'], preload: false }
  return page.evaluate<string[]>(`axe.run(${JSON.stringify(options)}).then(({ violations }) =>
    violations.map(({ id, nodes }) => id + ': ' + nodes.map(({ html }) => html).join(' ')))`)
}

const resize = (page: Page, width: number) => page.setViewportSize({ width, height: HEIGHT })

const overflow = (page: Page) =>
  page.evaluate<string[]>(`(document.documentElement.scrollWidth > innerWidth
    ? ['scrolls sideways, at ' + innerWidth + ' px'] : []).concat([...document.querySelectorAll('main *')]
      .filter((part) => part.scrollWidth > part.clientWidth + 1
        && /auto|scroll/.test(getComputedStyle(part).overflowX))
      .map(({ outerHTML }) => 'a part scrolls sideways, at ' + innerWidth + ' px: ' + outerHTML))`)

const unlabelled = (page: Page) =>
  page.evaluate<string[]>(`[...document.querySelectorAll('input, select, textarea')]
    .filter(({ type, labels }) => type !== 'hidden' && ![...labels].some((l) => l.textContent.trim()))
    .map(({ outerHTML }) => 'no label: ' + outerHTML)`)

/** Controls that the Tab key alone does not reach in their order, or not visibly. */
async function unreached(page: Page): Promise<string[]> {
  const count = await page.evaluate<number>(NOTE_FOCUS)
  for (let i = 0; i < count; i += 1) await page.keyboard.press('Tab')
  const missed = await page.evaluate<string[]>('missed()')
  await page.evaluate('document.activeElement.blur(), scrollTo(0, 0)')
  return missed
}

/** A date has several places for the focus: its day, month, year and calendar. */
const STOPS_WITHIN_DATE = 3

/** An element is looked at before the next key moves on: by then the page has scrolled to it. */
const NOTE_FOCUS = `{
  const controls = [...document.querySelectorAll(
    'a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex="0"]')]
    .filter((element) => element.checkVisibility() && !element.disabled)
  const visited = []
  const look = () => {
    const element = document.activeElement
    if (element.type === 'date' && visited.at(-1)?.element === element) return
    const { outlineStyle, outlineWidth } = getComputedStyle(element)
    const { top, bottom, left, right } = element.getBoundingClientRect()
    visited.push({
      element,
      isOutlined: outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2,
      isOnScreen: bottom > 0 && right > 0 && top < innerHeight && left < innerWidth,
    })
  }
  addEventListener('keydown', look, true)
  // From the top, also where the page itself put the focus further down.
  document.body.tabIndex = -1
  document.body.focus()
  document.body.removeAttribute('tabindex')
  globalThis.missed = () => {
    look()
    return controls.flatMap((control, index) => {
      // The first key finds the focus nowhere yet.
      const { element, isOutlined, isOnScreen } = visited[index + 1]
      const what = [element !== control && 'not reached in its place',
        !isOutlined && 'focus not shown', !isOnScreen && 'off screen'].filter(Boolean)
      return what.length === 0 ? [] : [what.join(', ') + ': ' + control.outerHTML]
    })
  }
  controls.length + ${STOPS_WITHIN_DATE} * controls.filter(({ type }) => type === 'date').length
}`
