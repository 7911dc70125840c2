import { expect, test } from 'vitest'
import { Alone } from '../../src/database/alone.ts'

/** Work that ends when it is told to. */
function held() {
  let end = () => {}
  const ended = new Promise<void>((resolve) => {
    end = resolve
  })
  return { work: () => ended, end }
}

const soon = () => new Promise((resolve) => setImmediate(resolve))

test('of one key two are at work, and the others in turn', async () => {
  const alone = new Alone()
  const began: number[] = []
  const all = [0, 1, 2, 3].map(held)
  const ends = all.map(({ work }, index) =>
    alone.run('ada', false, () => {
      began.push(index)
      return work()
    }),
  )
  await soon()
  expect(began).toEqual([0, 1])
  expect(alone.isHeldUp('ada')).toBe(true)
  await alone.run('bob', false, async () => {})
  expect(alone.isHeldUp('bob')).toBe(false)
  all[1]?.end()
  await ends[1]
  await soon()
  expect(began).toEqual([0, 1, 2])
  for (const { end } of all) end()
  await Promise.all(ends)
  expect(began).toEqual([0, 1, 2, 3])
  expect(alone.isHeldUp('ada')).toBe(false)
})

test('a failure gives its place to the next', async () => {
  const alone = new Alone()
  const fail = () => Promise.reject(new Error('no'))
  const outcomes = await Promise.allSettled([1, 2, 3, 4].map(() => alone.run('ada', false, fail)))
  expect(outcomes.map(({ status }) => status)).toEqual(Array(4).fill('rejected'))
  expect(await alone.run('ada', false, async () => 'yes')).toBe('yes')
})

test('only whoever was suspected, and stays at it, is held up', async () => {
  const alone = new Alone()
  const slow = held()
  const locked = held()
  const ends = [alone.run('slow', false, slow.work), alone.run('locked', true, locked.work)]
  await expect.poll(() => alone.isHeldUp('locked')).toBe(true)
  expect(alone.isHeldUp('slow')).toBe(false)
  slow.end()
  locked.end()
  await Promise.all(ends)
  await expect.poll(() => alone.isHeldUp('locked')).toBe(false)
})
