/** Whether hosts elsewhere can be reached, as it is found now and then. */

import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createLogger } from '../../src/log.ts'
import { WayOut } from '../../src/oauth/way-out.ts'

const MINUTE_MS = 60_000

let isThere: boolean
let tries: number
let lines: string[]
let way: WayOut

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
  isThere = false
  tries = 0
  lines = []
  const log = createLogger('info', { write: (line) => lines.push(JSON.parse(line).msg) })
  const tryIt = async () => {
    tries += 1
    if (!isThere) throw new Error('no way')
  }
  way = new WayOut({ tryIt, log })
})
afterEach(() => {
  way.stop()
  vi.useRealTimers()
})

test('is shut until it was found', async () => {
  isThere = true
  expect(way.isOpen).toBe(false)
  await way.start()
  expect(way.isOpen).toBe(true)
  expect(lines).toEqual([])
})

test('is looked for again and again, and said once when that changes', async () => {
  await way.start()
  await vi.advanceTimersByTimeAsync(3 * MINUTE_MS)
  expect([way.isOpen, tries]).toEqual([false, 4])
  expect(lines).toEqual([
    expect.stringMatching(/register instead.*HTTPS_PROXY.*CLIENT_ID_DOCUMENTS/),
  ])
  isThere = true
  await vi.advanceTimersByTimeAsync(MINUTE_MS)
  expect([way.isOpen, lines.length]).toEqual([true, 2])
  isThere = false
  await vi.advanceTimersByTimeAsync(10 * MINUTE_MS)
  expect([way.isOpen, lines.length]).toEqual([false, 3])
})

test('is tried at once when it is doubted, though not all the time', async () => {
  isThere = true
  await way.start()
  isThere = false
  way.doubt()
  expect(tries).toBe(1)
  await vi.advanceTimersByTimeAsync(MINUTE_MS)
  way.doubt()
  way.doubt()
  await vi.advanceTimersByTimeAsync(0)
  expect([tries, way.isOpen]).toEqual([2, false])
})

test('is not looked for any more once it is stopped', async () => {
  await way.start()
  way.stop()
  way.doubt()
  await vi.advanceTimersByTimeAsync(60 * MINUTE_MS)
  expect(tries).toBe(1)
})
