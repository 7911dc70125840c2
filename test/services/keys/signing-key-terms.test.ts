import { expect, test } from 'vitest'
import { termsOf } from '../../../src/services/keys/signing-key-terms.ts'

const NOW = Date.parse('2026-11-22T12:00:00Z')
const HOUR = 3600

/** Keys by their age in seconds, newest first; what each of them does. */
const statesOf = (...ages: number[]) => terms(...ages).map(({ state }) => state)

const terms = (...ages: number[]) =>
  termsOf(
    ages.map((ageSeconds) => ({
      kid: `key of ${ageSeconds} s`,
      createdAt: new Date(NOW - ageSeconds * 1000),
      ageSeconds,
    })),
    HOUR,
  )

test.each([
  ['the first key ever, at once', [0], ['signing']],
  ['a new key, not before all know it', [59.9, 5000], ['next', 'signing']],
  ['a key that all know', [60, 5000], ['signing', 'old']],
  [
    'one of two in a minute: the older, then the newer',
    [10, 55, 5000],
    ['next', 'next', 'signing'],
  ],
  ['the newest of several that all know', [60, 70, 80], ['signing', 'old', 'old']],
  ['two that are both new: the older, which may sign already', [1, 2], ['next', 'signing']],
  ['only as long as a token of the old one may live', [3720, 9000], ['signing', 'old']],
  ['alone after that', [3720.1, 9000], ['signing', 'over']],
  ['and so for each of many', [3, 4000, 5000, 9000], ['next', 'signing', 'over', 'over']],
])('who signs: %s', (_, ages, states) => {
  expect(statesOf(...ages)).toEqual(states)
})

test('one signs, whatever the ages', () => {
  for (let newest = 0; newest < 200; newest += 7) {
    for (let gap = 0; gap < 4000; gap += 333) {
      const states = statesOf(newest, newest + gap, newest + 2 * gap)
      expect(states.filter((state) => state === 'signing')).toHaveLength(1)
    }
  }
})

test('says when', () => {
  const at = (time: string) => new Date(`2026-11-22T${time}Z`)
  expect(terms(30, 5400)).toMatchObject([
    { createdAt: at('11:59:30'), signsFrom: at('12:00:30'), verifiesUntil: null },
    { createdAt: at('10:30:00'), signsFrom: at('10:30:00'), verifiesUntil: at('13:01:30') },
  ])
})
