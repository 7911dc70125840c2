import { expect, test, vi } from 'vitest'
import { TroubleLog } from '../../../src/services/operations/trouble-log.ts'

test('the same trouble is told once a minute, and another one at once', () => {
  let now = 0
  vi.spyOn(performance, 'now').mockImplementation(() => now)
  const told: string[] = []
  const log = new TroubleLog((err) => told.push(`${now / 1000} ${(err as Error).message}`))
  for (; now < 130_000; now += 2000) {
    log.note(new Error('nothing listens'))
    if (now === 10_000) log.note(new Error('the disk is full'))
  }
  expect(told).toEqual([
    '0 nothing listens',
    '10 the disk is full',
    '60 nothing listens',
    '120 nothing listens',
  ])
})

test('so many kinds that their messages differ each time are not remembered', () => {
  const tell = vi.fn()
  const log = new TroubleLog(tell)
  for (let kind = 0; kind < 100; kind += 1) log.note(new Error(`at ${kind}`))
  expect(tell).toHaveBeenCalledTimes(100)
})
