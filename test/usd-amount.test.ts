import { expect, test } from 'vitest'
import { nanoUsdOf, UsageError } from '../src/admin/arguments.ts'
import { parseUsd } from '../src/usd-amount.ts'

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
