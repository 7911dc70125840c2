/** A chart of horizontal bars as SVG, readable on light and dark pages. */

import type { Bars } from '../harness/case.ts'
import { figure } from './format.ts'

const WIDTH = 860
const LABEL_WIDTH = 260
const FIGURE_WIDTH = 90
const BAR = 22
const GAP = 8
const HEAD = 56
const MARGIN = 24

/** @param date said at the foot. */
export function chart(panels: readonly Bars[], date: string): string {
  let top = MARGIN
  const drawn = panels.map((panel) => {
    const at = top
    top += heightOf(panel)
    return drawPanel(panel, at)
  })
  const height = top + MARGIN
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" font-family="system-ui, sans-serif" font-size="14">`,
    '<title>The gateway beside its peers</title>',
    `<rect width="${WIDTH}" height="${height}" rx="10" fill="#ffffff"/>`,
    ...drawn,
    text(
      WIDTH - MARGIN,
      top + 8,
      `${date}, medians`,
      'text-anchor="end" font-size="12" fill="#6b7280"',
    ),
    '</svg>',
  ].join('\n')}\n`
}

const heightOf = ({ bars }: Bars) => HEAD + bars.length * (BAR + GAP) + MARGIN

function drawPanel({ title, remark, bars }: Bars, top: number): string {
  const largest = Math.max(...bars.map(({ value }) => value))
  return [
    text(MARGIN, top + 16, title, 'font-weight="600" font-size="16" fill="#111827"'),
    text(MARGIN, top + 36, remark, 'font-size="12" fill="#6b7280"'),
    ...bars.map((bar, index) => drawBar(bar, top + HEAD + index * (BAR + GAP), largest)),
  ].join('\n')
}

function drawBar(
  { label, value, isOurs }: Bars['bars'][number],
  y: number,
  largest: number,
): string {
  const room = WIDTH - 2 * MARGIN - LABEL_WIDTH - FIGURE_WIDTH
  const width = Math.max(2, Math.round((value / largest) * room))
  const x = MARGIN + LABEL_WIDTH
  const middle = y + BAR / 2 + 5
  return [
    text(x - 10, middle, label, 'text-anchor="end" fill="#111827"'),
    `<rect x="${x}" y="${y}" width="${width}" height="${BAR}" rx="3" fill="${isOurs ? '#c2562d' : '#9ca3af'}"/>`,
    text(x + width + 8, middle, figure(value), 'fill="#111827"'),
  ].join('\n')
}

const text = (x: number, y: number, words: string, attributes: string) =>
  `<text x="${x}" y="${y}" ${attributes}>${escaped(words)}</text>`

const escaped = (words: string) =>
  words.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
