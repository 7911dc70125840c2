import { expect, test } from 'vitest'
import { Memory, type MemoryFigures } from '../../src/concurrency/memory.ts'

const FREE = { heapUsedBytes: 10, heapLimitBytes: 100, usedBytes: 20, limitBytes: 200 }

test.each<[string, Partial<MemoryFigures>]>([
  ['of the heap', { heapUsedBytes: 81 }],
  ['of the container', { usedBytes: 161 }],
])('too much %s in use: new work is refused, with a time to come back', (_what, given) => {
  const memory = new Memory(() => ({ ...FREE, ...given }))
  expect(memory.isShort).toBe(true)
  expect(() => memory.refuseWhenShort()).toThrow(
    expect.objectContaining({ code: 'overloaded', retryable: true, retryAfterSeconds: 5 }),
  )
})

test('as soon as there is room again, so is work', async () => {
  let figures = { ...FREE, heapUsedBytes: 99 }
  const memory = new Memory(() => figures)
  expect(memory.isShort).toBe(true)
  figures = FREE
  await expect.poll(() => memory.isShort).toBe(false)
  memory.refuseWhenShort()
})

test('this process is not short of it', () => {
  expect(new Memory().isShort).toBe(false)
})
