/** The run's outcome in lines that programs can read. */

import type { TestCase, TestModule, Vitest } from 'vitest/node'

/** `N passed, N failed, N skipped`; a file that did not get as far as its tests is one failed. */
export function countTests({ state }: Vitest): string {
  const states = state.getTestModules().flatMap(testStates)
  const count = (wanted: string) => states.filter((found) => found === wanted).length
  return `${count('passed')} passed, ${count('failed')} failed, ${count('skipped')} skipped`
}

/**
 * A line for each test that failed (`failed: file > test`), for each file that failed outside its
 * tests, and for each test that passed only at its second try (`second try: ...`).
 */
export function namesOfTrouble({ state }: Vitest): string[] {
  return state.getTestModules().flatMap((module) => {
    const lines = [...module.children.allTests()].flatMap(troubleOf)
    return isBrokenItself(module) ? [...lines, `failed: ${module.relativeModuleId}`] : lines
  })
}

function troubleOf(test: TestCase): string[] {
  const name = `${test.module.relativeModuleId} > ${test.fullName}`
  if (test.result().state === 'failed') return [`failed: ${name}`]
  return test.diagnostic()?.flaky ? [`second try: ${name}`] : []
}

function testStates(module: TestModule): string[] {
  const states = [...module.children.allTests()].map((test) => test.result().state as string)
  return isBrokenItself(module) ? [...states, 'failed'] : states
}

const isBrokenItself = (module: TestModule) =>
  module.state() === 'failed' && [...module.children.allTests('failed')].length === 0
