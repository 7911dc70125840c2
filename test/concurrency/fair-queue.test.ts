import { setImmediate as settle } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { FairQueue, type FairQueueOptions } from '../../src/concurrency/fair-queue.ts'

/** Jobs that begin when the queue lets them and end when the test says so; `flood-3` is of `flood`. */
function jobs(options: Partial<FairQueueOptions> = {}) {
  const refuse = () => new Error('full')
  const queue = new FairQueue({ concurrency: 1, maxQueued: 10, refuse, ...options })
  const began: string[] = []
  const refused: string[] = []
  const ends = new Map<string, (error?: Error) => void>()
  const start = (name: string) =>
    queue
      .run(name.split('-')[0] ?? '', () => {
        began.push(name)
        return new Promise<string>((resolve, reject) => {
          ends.set(name, (error) => (error ? reject(error) : resolve(name)))
        })
      })
      .catch((error: Error) => {
        refused.push(name)
        return error.message
      })
  /** Ends whatever runs, one after the other, until nothing waits. */
  const endAll = async () => {
    await settle()
    for (let i = 0; i < began.length; i++) {
      ends.get(began[i] ?? '')?.()
      await settle()
    }
  }
  return { queue, began, refused, start, endAll, end: (name: string) => ends.get(name) }
}

const flood = (count: number, key = 'flood') =>
  Array.from({ length: count }, (_, i) => `${key}-${i}`)

test('runs as many at once as allowed, and one key’s in the order they came', async () => {
  const { queue, began, start, endAll } = jobs({ concurrency: 2 })
  const all = flood(5).map(start)
  await settle()
  expect(began).toEqual(['flood-0', 'flood-1'])
  expect(queue.queued).toBe(3)
  await endAll()
  expect(began).toEqual(flood(5))
  expect(await Promise.all(all)).toEqual(flood(5))
  expect(queue.queued).toBe(0)
})

test('whoever comes into a flood is next', async () => {
  const { began, start, endAll } = jobs()
  flood(9).forEach(start)
  void start('one-0')
  void start('other-0')
  await endAll()
  expect(began.slice(0, 5)).toEqual(['flood-0', 'flood-1', 'one-0', 'other-0', 'flood-2'])
})

test('a full queue is full of whoever filled it: the last of them makes room', async () => {
  const { queue, began, refused, start, endAll } = jobs({ maxQueued: 4 })
  flood(7).forEach(start)
  await settle()
  expect(refused).toEqual(['flood-5', 'flood-6'])
  void start('one-0')
  await settle()
  expect(refused).toEqual(['flood-5', 'flood-6', 'flood-4'])
  expect(queue.queued).toBe(4)
  await endAll()
  expect(began).toContain('one-0')
  expect(began).toHaveLength(5)
})

test('of many that have one place each the newcomer goes without, unless it is trusted', async () => {
  const isTrusted = (key: string) => key.startsWith('known')
  const { began, refused, start, endAll } = jobs({ maxQueued: 6, isTrusted })
  const strangers = Array.from({ length: 8 }, (_, i) => `stranger${i}-0`)
  strangers.forEach(start)
  await settle()
  expect(refused).toEqual(['stranger7-0'])
  void start('known1-0')
  void start('known2-0')
  await settle()
  expect(refused).toHaveLength(3)
  await endAll()
  expect(began.indexOf('known1-0')).toBeLessThanOrEqual(2)
  expect(began.indexOf('known2-0')).toBeLessThanOrEqual(4)
})

test('those who are trusted leave every other turn to the others', async () => {
  const { began, start, endAll } = jobs({ isTrusted: (key) => key === 'flood' })
  flood(8).forEach(start)
  void start('stranger1-0')
  void start('stranger2-0')
  await endAll()
  expect(began.indexOf('stranger2-0')).toBeLessThanOrEqual(5)
})

test('one key has no more running than its share, though nobody else asks', async () => {
  const { began, start, endAll } = jobs({ concurrency: 4, concurrencyPerKey: 1 })
  flood(3).forEach(start)
  void start('one-0')
  await settle()
  expect(began).toEqual(['flood-0', 'one-0'])
  await endAll()
  expect(began).toHaveLength(4)
})

test('a failure frees its slot, and so does work that throws instead of rejecting', async () => {
  const { queue, start, end } = jobs({ maxQueued: 1 })
  const [a, b] = [start('a-0'), start('b-0')]
  await settle()
  end('a-0')?.(new Error('broken'))
  expect(await a).toBe('broken')
  await settle()
  end('b-0')?.()
  expect(await b).toBe('b-0')
  const broken = () => {
    throw new Error('at once')
  }
  await expect(queue.run('c', broken)).rejects.toThrow('at once')
  await expect(queue.run('c', async () => 1)).resolves.toBe(1)
})

test.each([
  { concurrency: 0, maxQueued: 1 },
  { concurrency: Number.NaN, maxQueued: 1 },
  { concurrency: 1, maxQueued: -1 },
])('refuses nonsense: $concurrency, $maxQueued', (options) => {
  expect(() => new FairQueue({ ...options, refuse: () => new Error() })).toThrow(RangeError)
})
