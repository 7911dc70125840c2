import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { SendMemory } from '../../../src/services/turns/remembered/send-memory.ts'

const MINUTE_MS = 60_000
/** Of the cache's own timer. */
const CLOCK_MS = 1_000
const MEGABYTE = 1024 * 1024

type Found = Parameters<SendMemory['noteSender']>[0]
type Context = Parameters<SendMemory['noteSender']>[1]

let now = MINUTE_MS

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  vi.spyOn(performance, 'now').mockImplementation(() => now)
})
afterEach(() => {
  vi.restoreAllMocks()
  vi.useRealTimers()
})

function pass(minutes: number): void {
  for (let minute = 0; minute < minutes; minute += 1) {
    now += MINUTE_MS
    vi.advanceTimersByTime(MINUTE_MS)
  }
}

function noteSender(memory: SendMemory, id: string) {
  const proof = { id } as unknown as Found['proof']
  const context = {
    ...{ userDataKey: Buffer.alloc(32), apiKey: undefined, limits: [] },
    versions: { sender: '1', conversation: null },
  }
  memory.noteSender({ proof, session: {} } as unknown as Found, context as unknown as Context)
  return () => memory.findSender(proof)?.version
}

test('what nothing has changed for a quarter of an hour is gone from memory, without being asked for', () => {
  const memory = new SendMemory(MEGABYTE)
  const first = noteSender(memory, 'first')
  pass(10)
  const second = noteSender(memory, 'second')
  expect([first(), second()]).toEqual(['1', '1'])
  pass(6)
  expect([first(), second()]).toEqual([undefined, '1'])
  // The timer is planned again, and only while something is remembered.
  vi.advanceTimersByTime(2 * CLOCK_MS)
  expect(vi.getTimerCount()).toBe(1)
  pass(11)
  expect(vi.getTimerCount()).toBe(0)
})

test('one timer is enough for all that is remembered', () => {
  const memory = new SendMemory(MEGABYTE)
  for (let index = 0; index < 100; index += 1) noteSender(memory, `sender ${index}`)
  // One of this class, and one of the cache's clock.
  expect(vi.getTimerCount()).toBeLessThanOrEqual(2)
})
