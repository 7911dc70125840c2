import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { Batcher } from '../../../src/database/statements/batcher.ts'
import { AppError } from '../../../src/errors.ts'

/** Answers with what it was asked and how many were asked together; notes every run. */
function doubling(fail: (asked: readonly number[]) => Error | undefined = () => undefined) {
  const runs: number[][] = []
  const run = async (asked: readonly number[]) => {
    runs.push([...asked])
    const error = fail(asked)
    if (error) throw error
    return asked.map((one) => one * 2)
  }
  return { runs, run }
}

const settled = async (promises: Promise<number>[]) =>
  (await Promise.allSettled(promises)).map((end) =>
    end.status === 'fulfilled' ? end.value : (end.reason as Error).message,
  )

test('those who ask at one moment are asked together, and each gets its own answer', async () => {
  const { runs, run } = doubling()
  const batcher = new Batcher({ run })
  expect(await Promise.all([1, 2, 3].map((one) => batcher.load(one)))).toEqual([2, 4, 6])
  expect(await batcher.load(4)).toBe(8)
  expect(runs).toEqual([[1, 2, 3], [4]])
})

test('those with the same key are asked apart', async () => {
  const { runs, run } = doubling()
  const batcher = new Batcher({ run, keysOf: (one) => [String(one % 10)] })
  const answers = [1, 11, 2, 21, 12].map((one) => batcher.load(one))
  expect(await Promise.all(answers)).toEqual([2, 22, 4, 42, 24])
  expect(runs).toEqual([[1, 2], [11, 12], [21]])
})

test('a crowd is asked in parts', async () => {
  const { runs, run } = doubling()
  const batcher = new Batcher({ run })
  const crowd = Array.from({ length: 100 }, (_, index) => index)
  expect(await Promise.all(crowd.map((one) => batcher.load(one)))).toEqual(
    crowd.map((one) => one * 2),
  )
  expect(runs.map(({ length }) => length)).toEqual([32, 32, 32, 4])
})

test('after a failure each is asked by itself, once', async () => {
  const { runs, run } = doubling((asked) => (asked.includes(2) ? new Error('not 2') : undefined))
  const batcher = new Batcher({ run })
  expect(await settled([1, 2, 3].map((one) => batcher.load(one)))).toEqual([2, 'not 2', 6])
  expect(runs).toEqual([[1, 2, 3], [1], [2], [3]])
})

test('where nobody knows whether it was done, it is not done again', async () => {
  const gone = new AppError('database_unavailable', 'gone')
  const { runs, run } = doubling(() => gone)
  const batcher = new Batcher({ run })
  expect(await settled([1, 2].map((one) => batcher.load(one)))).toEqual(['gone', 'gone'])
  expect(runs).toEqual([[1, 2]])
})

/** Answers each run, or fails it, when it is let go. */
function inHand() {
  const runs: { asked: readonly number[]; letGo: (error?: Error) => void }[] = []
  const run = (asked: readonly number[]) =>
    new Promise<number[]>((resolve, reject) => {
      const letGo = (error?: Error) =>
        error ? reject(error) : resolve(asked.map((one) => one * 2))
      runs.push({ asked, letGo })
    })
  return { runs, run }
}

/** As PostgreSQL says it, and the database here passes it on. */
const lockTimeout = () =>
  new AppError('database_unavailable', 'waited too long for a lock', {
    cause: Object.assign(new Error(), { code: '55P03', severity: 'ERROR' }),
  })

const nextTurn = () => new Promise((resolve) => setImmediate(resolve))

describe('calls that share a row', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  /** Those that end with the same digit do. */
  const sharing = (mostTogether = 32) => {
    const { runs, run } = inHand()
    const sharedRowOf = (one: number) => `row ${one % 10}`
    const batcher = new Batcher({
      ...{ run, sharedRowOf, mostTogether },
      keysOf: (one: number) => [String(one)],
    })
    const load = (...all: number[]) => Promise.all(all.map((one) => batcher.load(one)))
    const asked = async () => {
      await nextTurn()
      return runs.map((each) => each.asked)
    }
    return { runs, load, asked }
  }

  test('collect for the next statement while one has it, and hold up no others', async () => {
    const { runs, load, asked } = sharing()
    const first = load(1, 11, 2)
    expect(await asked()).toEqual([[1, 11, 2]])
    const second = load(21, 3)
    expect(await asked()).toEqual([[1, 11, 2], [3]])
    const third = load(31, 12)
    expect(await asked()).toEqual([[1, 11, 2], [3]])
    for (const { letGo } of runs) letGo()
    expect(await first).toEqual([2, 22, 4])
    expect(await asked()).toEqual([[1, 11, 2], [3], [21, 31, 12]])
    runs[2]?.letGo()
    expect([await second, await third]).toEqual([
      [42, 6],
      [62, 24],
    ])
  })

  test('wait for the next one too when of one user, or beyond the size of a statement', async () => {
    const { runs, load, asked } = sharing(3)
    const answers = load(1, 1, 11, 21, 31)
    expect(await asked()).toEqual([[1, 11, 21]])
    runs[0]?.letGo()
    expect(await asked()).toEqual([
      [1, 11, 21],
      [1, 31],
    ])
    runs[1]?.letGo()
    expect(await answers).toEqual([2, 2, 22, 42, 62])
  })

  test('go on while another lock blocks the statement that has it', async () => {
    const { runs, load, asked } = sharing()
    const blocked = load(1)
    expect(await asked()).toEqual([[1]])
    const others = load(11, 21)
    expect(await asked()).toEqual([[1]])
    vi.advanceTimersByTime(100)
    expect(await asked()).toEqual([[1], [11, 21]])
    runs[1]?.letGo()
    expect(await others).toEqual([22, 42])
    runs[0]?.letGo()
    expect(await blocked).toEqual([2])
  })

  test('go on together while those of one that failed are asked by themselves', async () => {
    const { runs, load, asked } = sharing()
    const failed = load(1, 11, 21, 31)
    expect(await asked()).toEqual([[1, 11, 21, 31]])
    runs[0]?.letGo(new Error('one of them'))
    expect(await asked()).toEqual([[1, 11, 21, 31], [1], [11]])
    const others = load(41, 51)
    expect((await asked()).slice(3)).toEqual([[41, 51]])
    const apart = load(2, 61)
    expect((await asked()).slice(4)).toEqual([[2]])
    for (let next = 1; next < 8; next++) {
      runs[next]?.letGo()
      await nextTurn()
    }
    expect([await failed, await others, await apart]).toEqual([
      [2, 22, 42, 62],
      [82, 102],
      [4, 122],
    ])
  })

  test('leave a place at it to others while several calls of one user are blocked', async () => {
    const { runs, load, asked } = sharing()
    const first = load(1, 11)
    await asked()
    runs[0]?.letGo(lockTimeout())
    expect(await asked()).toEqual([[1, 11], [1], [11]])
    runs[2]?.letGo()
    const second = load(1, 21)
    expect((await asked()).slice(3)).toEqual([[1, 21]])
    runs[3]?.letGo(lockTimeout())
    expect((await asked()).slice(4)).toEqual([[21]])
    runs[4]?.letGo()
    runs[1]?.letGo()
    await asked()
    runs[5]?.letGo()
    expect([await first, await second]).toEqual([
      [2, 22],
      [2, 42],
    ])
  })
})
