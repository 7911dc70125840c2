import { setImmediate as settle } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { HeavyReads } from '../../src/concurrency/heavy-reads.ts'

/** Reads that begin when it is their turn, and end when the test says so. */
function reads(heavyReads: HeavyReads) {
  const began: string[] = []
  const end = new Map<string, (error?: Error) => void>()
  return {
    began,
    start(name: string, userId = name.slice(0, 1)) {
      return heavyReads.run(userId, () => {
        began.push(name)
        return new Promise<string>((resolve, reject) => {
          end.set(name, (error) => (error ? reject(error) : resolve(name)))
        })
      })
    },
    async end(name: string, error?: Error) {
      end.get(name)?.(error)
      await settle()
    },
  }
}

const codeOf = (read: Promise<unknown>) =>
  read.then(
    () => 'done',
    (error) => error,
  )

describe('reading much', () => {
  test('is one after the other for a user, in the order of asking, while others read too', async () => {
    const { began, start, end } = reads(new HeavyReads())
    const all = ['a1', 'a2', 'b1', 'a3', 'b2'].map((name) => start(name))
    await settle()
    expect(began).toEqual(['a1', 'b1'])
    await end('a1')
    expect(began).toEqual(['a1', 'b1', 'a2'])
    await end('a2')
    await end('b1')
    for (const name of ['a3', 'b2']) await end(name)
    expect(await Promise.all(all)).toEqual(['a1', 'a2', 'b1', 'a3', 'b2'])
  })

  test('is bounded for all users together, and who has much to read keeps nobody waiting', async () => {
    const { began, start, end } = reads(new HeavyReads({ concurrency: 2 }))
    const all = ['a1', 'a2', 'a3', 'a4', 'b1', 'c1'].map((name) => start(name))
    await settle()
    expect(began).toEqual(['a1', 'b1'])
    await end('a1')
    expect(began.at(-1), 'the third user, before the second read of the first').toBe('c1')
    for (const name of ['b1', 'a2', 'c1', 'a3', 'a4']) await end(name)
    await Promise.all(all)
  })

  test('is refused to a user of whom too many wait, and to nobody else', async () => {
    const { start, end } = reads(new HeavyReads({ maxWaitingPerUser: 2 }))
    const all = ['a1', 'a2', 'a3'].map((name) => start(name))
    expect(await codeOf(start('a4'))).toMatchObject({
      code: 'rate_limited',
      retryable: true,
      retryAfterSeconds: expect.any(Number),
      details: { limited_by: 'gateway' },
    })
    const other = start('b1')
    for (const name of ['a1', 'b1', 'a2']) await end(name)
    all.push(start('a5'))
    for (const name of ['a3', 'a5']) await end(name)
    expect(await Promise.all([...all, other])).toEqual(['a1', 'a2', 'a3', 'a5', 'b1'])
  })

  test('is refused to all when all users together have too many', async () => {
    const { start, end } = reads(new HeavyReads({ concurrency: 1, maxWaiting: 2 }))
    const all = ['a1', 'b1', 'c1'].map((name) => start(name))
    await settle()
    expect(await codeOf(start('d1'))).toMatchObject({
      code: 'overloaded',
      retryAfterSeconds: expect.any(Number),
    })
    for (const name of ['a1', 'b1', 'c1']) await end(name)
    await Promise.all(all)
  })

  test('goes on after one that failed', async () => {
    const { began, start, end } = reads(new HeavyReads({ concurrency: 1 }))
    const failed = codeOf(start('a1'))
    const next = start('a2')
    await settle()
    await end('a1', new Error('the database is away'))
    expect(began).toEqual(['a1', 'a2'])
    await end('a2')
    expect([await failed, await next]).toEqual([new Error('the database is away'), 'a2'])
  })
})
