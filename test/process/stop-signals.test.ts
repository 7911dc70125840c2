/** How many signals it takes: in a process of its own, as a signal is the whole process's. */

import { afterEach, expect, test } from 'vitest'
import { type Child, nextLine, runChild } from '../support/child-process.ts'

const children: Child[] = []

afterEach(async () => {
  for (const child of children.splice(0)) {
    child.process.kill('SIGKILL')
    await child.exit
  }
})

async function start(isUnderNpm: boolean): Promise<Child> {
  const child = runChild(new URL('../children/stop.ts', import.meta.url), String(isUnderNpm))
  children.push(child)
  expect(await nextLine(child)).toBe('ready')
  return child
}

test('the first stops, the second hurries, the third ends the process, however fast they come', async () => {
  const child = await start(false)
  child.process.kill('SIGTERM')
  expect([await nextLine(child), await nextLine(child)]).toEqual(['stop SIGTERM', 'got SIGTERM'])
  child.process.kill('SIGINT')
  expect([await nextLine(child), await nextLine(child)]).toEqual(['hurry', 'got SIGINT'])
  child.process.kill('SIGINT')
  expect(await child.exit).toBe(1)
})

test('under npm, which hands Ctrl-C on, two at the same moment are one', async () => {
  const child = await start(true)
  child.process.kill('SIGINT')
  expect([await nextLine(child), await nextLine(child)]).toEqual(['stop SIGINT', 'got SIGINT'])
  child.process.kill('SIGTERM')
  expect(await nextLine(child)).toBe('got SIGTERM')
  child.process.stdin.write('\n')
  expect(await nextLine(child)).toBe('later')
  child.process.kill('SIGINT')
  expect([await nextLine(child), await nextLine(child)]).toEqual(['hurry', 'got SIGINT'])
})

test('before anything is served the first ends it, as the shell knows it', async () => {
  const child = runChild(new URL('../children/start.ts', import.meta.url))
  children.push(child)
  expect(await nextLine(child)).toBe('ready')
  child.process.kill('SIGINT')
  expect(await child.exit).toBe(130)
})
