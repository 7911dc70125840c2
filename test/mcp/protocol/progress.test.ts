import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { progressWith, throttledProgress } from '../../../src/mcp/protocol/progress.ts'

let sent: { progress: number; message: string }[]
let hasRoom = true
const isTaken = () => hasRoom
const collect = async (progress: number, message: string) => {
  sent.push({ progress, message })
}
/** 300 ms is the shortest time between two notifications. */
const pass = (ms: number) => vi.advanceTimersByTime(ms)

beforeEach(() => {
  sent = []
  hasRoom = true
  vi.useFakeTimers({ toFake: ['performance'] })
})
afterEach(() => void vi.useRealTimers())

test('the first text goes out at once, the next after 300 ms with all there is by then', () => {
  const progress = throttledProgress(collect, { isTaken })
  progress('One')
  progress('One two')
  pass(299)
  progress('One two three')
  expect(sent).toEqual([{ progress: 3, message: 'One' }])
  pass(1)
  progress('One two three four')
  expect(sent.slice(1)).toEqual([{ progress: 18, message: 'One two three four' }])
})

test('progress rises strictly: text that did not grow is not told', () => {
  const progress = throttledProgress(collect, { isTaken })
  for (const text of ['', 'ab', 'ab', 'a', 'abc']) {
    progress(text)
    pass(300)
  }
  expect(sent.map((notification) => notification.progress)).toEqual([2, 3])
})

test('ten thousand pieces within a second are a handful of notifications', () => {
  const progress = throttledProgress(collect, { isTaken })
  let text = ''
  for (let piece = 0; piece < 10_000; piece++) {
    text += 'x'
    progress(text)
    pass(0.1)
  }
  expect(sent.length).toBeGreaterThanOrEqual(3)
  expect(sent.length).toBeLessThanOrEqual(4)
})

test('the message is one line: the newest end of the text, of at most 200 characters', () => {
  const progress = throttledProgress(collect, { isTaken })
  progress('first\n\n  second\tthird ')
  pass(300)
  progress(`${'a'.repeat(5000)}${'b'.repeat(199)}`)
  expect(sent.map(({ message }) => message)).toEqual(['first second third', `…${'b'.repeat(199)}`])
})

test('nothing is told while the client takes nothing, and then the newest', () => {
  const progress = throttledProgress(collect, { isTaken })
  progress('One')
  hasRoom = false
  for (const text of ['One two', 'One two three']) {
    pass(300)
    progress(text)
  }
  expect(sent).toHaveLength(1)
  hasRoom = true
  progress('One two three four')
  expect(sent.slice(1)).toEqual([{ progress: 18, message: 'One two three four' }])
})

test('a notification that nobody receives is dropped', async () => {
  const progress = throttledProgress(() => Promise.reject(new Error('gone')), { isTaken })
  expect(() => progress('text')).not.toThrow()
  await Promise.resolve()
})

test('a client that asked for none gets none', () => {
  const notify = vi.fn()
  progressWith(undefined, notify, { isTaken })('text')
  expect(notify).not.toHaveBeenCalled()
})

test('one that asked gets its own token with each, be it 0', () => {
  const notify = vi.fn()
  progressWith(0, notify, { isTaken })('text')
  const params = { progressToken: 0, progress: 4, message: 'text' }
  expect(notify.mock.calls).toEqual([[{ method: 'notifications/progress', params }]])
})
