/** Formats amounts, times and sizes for people. */

import { toUsd } from '../../text/usd-amount.ts'
import { type Html, html } from './html.ts'

/** To the cent; small amounts with up to six decimals. */
export function usd(nanoUsd: bigint): string {
  const amount = toUsd(nanoUsd)
  const digits = amount === 0 || amount >= 0.01 ? 2 : 6
  return `$${amount.toLocaleString('en-US', { minimumFractionDigits: 2, maximumFractionDigits: digits })}`
}

export const count = (value: number) => value.toLocaleString('en-US')

const UNITS = ['bytes', 'KB', 'MB', 'GB', 'TB']

/** In the largest unit that fits; 1 KB is 1024 bytes. */
export function size(bytes: number): string {
  const power = Math.floor(Math.log2(Math.max(1, bytes)) / 10)
  const unit = Math.min(power, UNITS.length - 1)
  const value = bytes / 1024 ** unit
  return `${value.toLocaleString('en-US', { maximumFractionDigits: unit === 0 ? 0 : 1 })} ${UNITS[unit]}`
}

const DAY = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeZone: 'UTC' })
const MINUTE = new Intl.DateTimeFormat('en-GB', {
  dateStyle: 'medium',
  timeStyle: 'short',
  timeZone: 'UTC',
})

export const day = (at: Date): Html =>
  html`<time datetime="${at.toISOString()}">${DAY.format(at)}</time>`

export const minute = (at: Date): Html =>
  html`<time datetime="${at.toISOString()}">${MINUTE.format(at)} UTC</time>`

const MINUTE_SECONDS = 60
const HOUR_SECONDS = 3600

/** Rounded up, so that a retry after it is not too early. */
function duration(seconds: number): string {
  if (seconds < 2 * MINUTE_SECONDS) return counted(seconds, 'second')
  if (seconds < 2 * HOUR_SECONDS) return counted(Math.ceil(seconds / MINUTE_SECONDS), 'minute')
  return counted(Math.ceil(seconds / HOUR_SECONDS), 'hour')
}

/** With its unit, in the plural where there is not one. */
export const counted = (value: number, unit: string, units = `${unit}s`) =>
  `${count(value)} ${value === 1 ? unit : units}`

/** Rewrites waits, which messages give in seconds for programs, in minutes or hours. */
export const inPlainTime = (message: string) =>
  message.replace(/\bin (\d+) s\b/g, (_text, seconds) => `in ${duration(Number(seconds))}`)

/** One entry of a definition list. */
export const fact = (term: string, value: Html | string): Html =>
  html`<div><dt>${term}</dt><dd>${value}</dd></div>`

/**
 * A table of words, which may be long. Narrow screens stack the labelled cells, whose semantics are
 * lost without explicit roles.
 */
export const wordTable = (
  columns: readonly string[],
  rows: readonly (readonly (Html | string)[])[],
): Html => html`<table class="stacks words" role="table">
<thead role="rowgroup"><tr role="row">${columns.map((name) => html`<th role="columnheader" scope="col">${name}</th>`)}</tr></thead>
<tbody role="rowgroup">${rows.map(
  (cells) =>
    html`<tr role="row">${cells.map((cell, i) => html`<td role="cell" data-label="${columns[i] ?? ''}"><span>${cell}</span></td>`)}</tr>`,
)}</tbody></table>`
