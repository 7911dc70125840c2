import { expect, test } from 'vitest'
import { columnChart, finite, rowBar } from '../../../src/web/kit/charts.ts'

const chart = (...values: number[]) =>
  columnChart({
    id: 'c',
    title: 'Cost',
    description: 'By day.',
    bars: values.map((value) => ({ value, text: `it is ${value}` })),
  }).toString()

const heightsIn = (svg: string) => [...svg.matchAll(/ height="([\d.]+)"/g)].map(([, h]) => h)

test('columns are as high as their values', () => {
  expect(heightsIn(chart(1, 2, 0))).toEqual(['60', '120', '0'])
})

test('has a name and a description, and a text for each column', () => {
  const svg = chart(1)
  expect(svg).toContain('role="img" aria-labelledby="c-title c-text"')
  expect(svg).toContain('<title id="c-title">Cost</title><desc id="c-text">By day.</desc>')
  expect(svg).toContain('<title>it is 1</title>')
})

test.each([
  [[]],
  [[0, 0]],
  [[Number.NaN, 1]],
  [[Number.POSITIVE_INFINITY]],
  [[-1, 1]],
  [[1e300, 1e-300]],
])('of %j is a figure too', (values) => {
  expect(chart(...values)).not.toMatch(/="-|=(?:"[^"]*)?(?:NaN|Infinity|e[+-]\d)[^<]*?"/)
})

test('a row is as long as its part of the longest', () => {
  expect(rowBar({ value: 1, text: 'x' }, 4).toString()).toContain('width="25"')
  expect(rowBar({ value: 0, text: 'x' }, 0).toString()).toContain('width="0"')
})

test('finite', () => {
  expect([Number.NaN, Number.POSITIVE_INFINITY, -3, 1.239].map(finite)).toEqual([0, 0, 0, 1.24])
})

test('texts are escaped', () => {
  const text = '</title><script>alert(1)</script>'
  const bars = [{ value: 1, text }]
  for (const svg of [
    rowBar({ value: 1, text }, 1),
    columnChart({ id: 'c', title: text, description: text, bars }),
  ]) {
    expect(svg.toString()).not.toContain('<script')
    expect(svg.toString()).toContain('&lt;script&gt;')
  }
})
