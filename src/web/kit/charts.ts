/**
 * Charts as SVG within the page. Colours come from the stylesheet: the pages' CSP allows no others.
 * The same figures stand beside them as text.
 */

import { type Html, html } from './html.ts'

/** `text`: what a pointer that rests on the bar is told. */
export type Bar = { value: number; text: string }

type Chart = { id: string; title: string; description: string; bars: readonly Bar[] }

const HEIGHT = 120
const BAR = 10
const GAP = 2

/** Columns side by side, as high as their values; drawn as wide as there is room. */
export function columnChart({ id, title, description, bars }: Chart): Html {
  const most = mostOf(bars)
  const columns = bars.map(({ value, text }, index) => {
    const height = finite((HEIGHT * value) / most)
    return html`<rect class="bar" x="${index * BAR + GAP / 2}" y="${finite(HEIGHT - height)}" width="${BAR - GAP}" height="${height}"><title>${text}</title></rect>`
  })
  return html`<svg class="chart" role="img" aria-labelledby="${id}-title ${id}-text" viewBox="0 0 ${Math.max(1, bars.length) * BAR} ${HEIGHT}" preserveAspectRatio="none">
<title id="${id}-title">${title}</title><desc id="${id}-text">${description}</desc>${columns}</svg>`
}

const WIDTH = 100

/** One row, as long as its part of `most`; beside a figure that says the same. */
export function rowBar({ value, text }: Bar, most: number): Html {
  const width = finite((WIDTH * value) / Math.max(most, Number.MIN_VALUE))
  return html`<svg class="row-bar" aria-hidden="true" viewBox="0 0 ${WIDTH} 4" preserveAspectRatio="none"><rect class="bar" x="0" y="0" width="${width}" height="4"><title>${text}</title></rect></svg>`
}

/** A number that is none would break the whole figure. */
export const finite = (value: number): number =>
  Number.isFinite(value) ? Math.round(Math.max(0, value) * 100) / 100 : 0

/** Never 0, so that it may divide. */
const mostOf = (bars: readonly Bar[]) =>
  Math.max(Number.MIN_VALUE, ...bars.map(({ value }) => (Number.isFinite(value) ? value : 0)))
