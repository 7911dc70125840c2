import { expect, test } from 'vitest'
import { parseProcStat, readProcStat } from '../../src/process/proc-stat.ts'
import { isLinux } from '../support/left-out.ts'

test('a name with spaces and parentheses does not move the fields after it', () => {
  const after = 'S 4711 1 1 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 11 0 123456 0 0'
  for (const name of ['sh', 'a b', 'x) Z 1 (y', ')'])
    expect(parseProcStat(`4712 (${name}) ${after}`)).toEqual({
      name,
      state: 'S',
      parent: '4711',
      startTicks: '123456',
    })
})

test.runIf(isLinux('/proc'))('this process and its threads are found', () => {
  const own = readProcStat(process.pid)
  expect(own).toMatchObject({
    parent: String(process.ppid),
    state: expect.stringMatching(/^[A-Z]$/),
  })
  expect(Number(own?.startTicks)).toBeGreaterThan(0)
  expect(readProcStat(`${process.pid}/task/${process.pid}`)?.name).toBe(own?.name)
})

test('of a process that is not there nothing is known', () => {
  expect(readProcStat(2 ** 30)).toBeUndefined()
})
