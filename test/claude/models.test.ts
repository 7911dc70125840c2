import { expect, test } from 'vitest'
import { MODELS, resolveModel } from '../../src/claude/models.ts'
import { AppError } from '../../src/errors.ts'

const TODAY = new Date('2026-11-22T12:00:00Z')

test.each([
  ['sonnet', 'claude-sonnet-5-5'],
  [' Opus ', 'claude-opus-5-5'],
  ['HAIKU', 'claude-haiku-5-5'],
  ['claude-haiku-4-5', 'claude-haiku-4-5-20251001'],
  ['Claude-Sonnet-4-6', 'claude-sonnet-4-6'],
])('%s means %s', (requested, id) => {
  expect(resolveModel(requested, 'refuse', TODAY)).toMatchObject({
    id,
    info: { id },
    warnings: [],
  })
})

test('an unknown id is passed on as it is', () => {
  expect(resolveModel(' claude-Next-9 ', 'refuse', TODAY)).toEqual({
    id: 'claude-Next-9',
    info: undefined,
    warnings: [],
  })
})

test.each([
  ['claude-3-5-sonnet-20241022', 'claude-sonnet-5-5', '2025-10-28'],
  ['claude-3-5-sonnet-20240620', 'claude-sonnet-5-5', '2025-10-28'],
  ['claude-3-5-sonnet-latest', 'claude-sonnet-5-5', '2025-10-28'],
  ['claude-3-7-sonnet-20250219', 'claude-sonnet-5-5', '2026-02-19'],
  ['claude-sonnet-4-20250514', 'claude-sonnet-5-5', '2026-06-15'],
  ['claude-sonnet-4-0', 'claude-sonnet-5-5', '2026-06-15'],
  ['claude-opus-4-20250514', 'claude-opus-5-5', '2026-06-15'],
  ['claude-opus-4-1', 'claude-opus-5-5', '2026-08-05'],
  ['claude-opus-4-1-20250805', 'claude-opus-5-5', '2026-08-05'],
  ['claude-3-opus-20240229', 'claude-opus-5-5', '2026-01-05'],
  ['claude-3-haiku-20240307', 'claude-haiku-5-5', '2026-04-20'],
  ['claude-3-5-haiku-20241022', 'claude-haiku-5-5', '2026-02-19'],
  ['claude-3-sonnet-20240229', 'claude-sonnet-5-5', '2025-07-21'],
  ['claude-2.1', 'claude-sonnet-5-5', '2025-07-21'],
  ['claude-instant-1.2', 'claude-haiku-5-5', '2025-07-21'],
])('%s is retired: %s', (requested, replacement, retiredOn) => {
  const refusal = thrownBy(() => resolveModel(requested, 'refuse', TODAY))
  expect(refusal.code).toBe('model_retired')
  expect(refusal.message).toContain(replacement)
  expect(refusal.details).toEqual({ model: requested, replacement, retired_on: retiredOn })

  const mapped = resolveModel(requested, 'map', TODAY)
  expect(mapped).toMatchObject({ id: replacement, info: { id: replacement } })
  expect(mapped.warnings).toHaveLength(1)
  expect(mapped.warnings[0]).toMatch(/price and behaviour/)
})

test('every served model keeps clear of the retired patterns', () => {
  for (const { id, pointers } of MODELS) {
    for (const name of [id, ...pointers]) {
      expect(resolveModel(name, 'refuse', TODAY).id).toBe(id)
    }
  }
})

test('a deprecated model warns until its last day, and is retired after it', () => {
  const [warning] = resolveModel('claude-sonnet-4-5', 'refuse', TODAY).warnings
  expect(warning).toContain('2026-11-30')
  expect(warning).toContain('claude-sonnet-5-5')
  const lastDay = new Date('2026-11-30T23:59:59Z')
  expect(resolveModel('claude-sonnet-4-5', 'refuse', lastDay).warnings).toHaveLength(1)

  const after = new Date('2026-12-01T00:00:00Z')
  expect(thrownBy(() => resolveModel('claude-sonnet-4-5-20250929', 'refuse', after)).code).toBe(
    'model_retired',
  )
  expect(resolveModel('claude-sonnet-4-5', 'map', after).id).toBe('claude-sonnet-5-5')
  const opus = resolveModel('claude-opus-4-5', 'refuse', TODAY)
  expect(opus.id).toBe('claude-opus-4-5-20251101')
  expect(opus.warnings[0]).toContain('2027-01-22')
  const later = new Date('2027-01-23T00:00:00Z')
  expect(thrownBy(() => resolveModel('claude-opus-4-5', 'refuse', later)).code).toBe(
    'model_retired',
  )
})

function thrownBy(work: () => unknown): AppError {
  try {
    work()
  } catch (thrown) {
    if (thrown instanceof AppError) return thrown
  }
  throw new Error('expected an AppError')
}
