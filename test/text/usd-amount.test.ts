import { expect, test } from 'vitest'
import { nanoUsdOf, UsageError } from '../../src/admin/arguments.ts'
import { parseUsd, toDecimalUsd, toUsd } from '../../src/text/usd-amount.ts'

test.each([
  ['5', 5_000_000_000n],
  ['$5', 5_000_000_000n],
  ['US$5', 5_000_000_000n],
  ['5 USD', 5_000_000_000n],
  ['USD 5', 5_000_000_000n],
  ['$5 USD', 5_000_000_000n],
  ['5,00', 5_000_000_000n],
  ['7,5', 7_500_000_000n],
  ['0', 0n],
  ['0.000000001', 1n],
  ['987654321.000000001', 987_654_321_000_000_001n],
])('%s is an amount, everywhere', (text, nanoUsd) => {
  expect(parseUsd(text)).toBe(nanoUsd)
  expect(nanoUsdOf(text)).toBe(nanoUsd)
})

test.each(['', '$', 'five', '-5', '$-5', '5 EUR', '€5', '1,000', '1,000.50', '1.0000000001', '5%'])(
  '%j is none',
  (text) => {
    expect(parseUsd(text)).toBeUndefined()
    expect(() => nanoUsdOf(text)).toThrow(UsageError)
  },
)

test('no finer than asked for', () => {
  expect(parseUsd('1.25', 2)).toBe(1_250_000_000n)
  expect(parseUsd('1.250', 2)).toBeUndefined()
})

test('a number is an amount to the nano-USD', () => {
  expect([0, 0.1, 7.5, 1e-9, 4e-10, 999_999.999_999_999].map((usd) => parseUsd(usd))).toEqual([
    0n,
    100_000_000n,
    7_500_000_000n,
    1n,
    0n,
    999_999_999_999_999n,
  ])
})

test('nano-USD are told exactly as text, and as the nearest number', () => {
  const nanoUsd = [0n, 1n, 13_000n, 2_500_000_000n, 987_654_321_000_000_001n, -1n]
  expect(nanoUsd.map(toDecimalUsd)).toEqual([
    '0.000000000',
    '0.000000001',
    '0.000013000',
    '2.500000000',
    '987654321.000000001',
    '-0.000000001',
  ])
  expect(nanoUsd.map((amount) => toUsd(amount))).toEqual([
    0, 1e-9, 0.000013, 2.5, 987_654_321, -1e-9,
  ])
  expect(toUsd(null)).toBeNull()
})
