/** The run's outcome in lines that programs can read. */

import type { TestCase, TestModule, Vitest } from 'vitest/node'

/** `N passed, N failed, N skipped`; a file that did not get as far as its tests is one failed. */
export function countTests({ state }: Vitest): string {
  const states = state.getTestModules().flatMap(testStates)
  const count = (wanted: string) => states.filter((found) => found === wanted).length
  return `${count('passed')} passed, ${count('failed')} failed, ${count('skipped')} skipped`
}

/**
 * A line for each test that failed (`failed: file > test`), for each file that broke before its
 * tests, and for each test that needed its second try, which is a fault of the test or a rare one
 * of the gateway: a run that ends well says so too.
 */
export function namesOfTrouble({ state }: Vitest): string[] {
  return state.getTestModules().flatMap((module) => {
    const lines = [...module.children.allTests()].flatMap(troubleOf)
    return lines.length === 0 && module.state() === 'failed'
      ? [`failed: ${module.relativeModuleId}`]
      : lines
  })
}

function troubleOf(test: TestCase): string[] {
  const name = `${test.module.relativeModuleId} > ${test.fullName}`
  if (test.result().state === 'failed') return [`failed: ${name}`]
  return test.diagnostic()?.flaky ? [`second try: ${name}`] : []
}

function testStates(module: TestModule): string[] {
  const states = [...module.children.allTests()].map((test) => test.result().state as string)
  const brokenItself = module.state() === 'failed' && !states.includes('failed')
  return brokenItself ? [...states, 'failed'] : states
}
