import { setImmediate as settle } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { BoundedQueue } from '../../src/concurrency/bounded-queue.ts'

const refuse = () => new Error('full')

/** Jobs that begin when the queue lets them and end when the test says so. */
function jobs(queue: BoundedQueue) {
  const began: string[] = []
  const end = new Map<string, (error?: Error) => void>()
  const start = (name: string) =>
    queue.run(() => {
      began.push(name)
      return new Promise<string>((resolve, reject) => {
        end.set(name, (error) => (error ? reject(error) : resolve(name)))
      })
    })
  return { began, start, end: (name: string, error?: Error) => end.get(name)?.(error) }
}

test('runs as many at once as allowed, the rest in order of arrival', async () => {
  const queue = new BoundedQueue({ concurrency: 2, maxQueued: 10, refuse })
  const { began, start, end } = jobs(queue)
  const all = ['a', 'b', 'c', 'd', 'e'].map(start)
  await settle()
  expect(began).toEqual(['a', 'b'])
  expect(queue.queued).toBe(3)

  end('b')
  await settle()
  expect(began).toEqual(['a', 'b', 'c'])
  end('a')
  end('c')
  await settle()
  expect(began).toEqual(['a', 'b', 'c', 'd', 'e'])
  expect(queue.queued).toBe(0)
  end('d')
  end('e')
  await expect(Promise.all(all)).resolves.toEqual(['a', 'b', 'c', 'd', 'e'])
})

test('refuses when full, without running the work, and recovers', async () => {
  const queue = new BoundedQueue({ concurrency: 1, maxQueued: 1, refuse })
  const { began, start, end } = jobs(queue)
  const [a, b] = [start('a'), start('b')]
  await expect(start('c')).rejects.toThrow('full')
  expect(queue.queued).toBe(1)

  end('a')
  await a
  await settle()
  const d = start('d')
  end('b')
  await b
  await settle()
  end('d')
  await expect(d).resolves.toBe('d')
  expect(began).toEqual(['a', 'b', 'd'])
})

test('a failure frees its slot', async () => {
  const queue = new BoundedQueue({ concurrency: 1, maxQueued: 1, refuse })
  const { start, end } = jobs(queue)
  const [a, b] = [start('a'), start('b')]
  await settle()
  end('a', new Error('broken'))
  await expect(a).rejects.toThrow('broken')
  await settle()
  end('b')
  await expect(b).resolves.toBe('b')
  await expect(queue.run(async () => 'c')).resolves.toBe('c')
})

test('work that throws instead of rejecting frees its slot too', async () => {
  const queue = new BoundedQueue({ concurrency: 1, maxQueued: 0, refuse })
  const broken = () => {
    throw new Error('at once')
  }
  await expect(queue.run(broken)).rejects.toThrow('at once')
  await expect(queue.run(async () => 1)).resolves.toBe(1)
})

test.each([
  { concurrency: 0, maxQueued: 1 },
  { concurrency: Number.NaN, maxQueued: 1 },
  { concurrency: 1, maxQueued: -1 },
])('refuses nonsense: $concurrency, $maxQueued', (options) => {
  expect(() => new BoundedQueue({ ...options, refuse })).toThrow(RangeError)
})
