/** The run's outcome in one line that programs can read. */

import type { TestModule, Vitest } from 'vitest/node'

/** `N passed, N failed, N skipped`; a file that did not get as far as its tests is one failed. */
export function countTests({ state }: Vitest): string {
  const modules = state.getTestModules()
  const states = modules.flatMap(testStates)
  const count = (wanted: string) => states.filter((found) => found === wanted).length
  return `${count('passed')} passed, ${count('failed')} failed, ${count('skipped')} skipped`
}

function testStates(module: TestModule): string[] {
  const states = [...module.children.allTests()].map((test) => test.result().state as string)
  const brokenItself = module.state() === 'failed' && !states.includes('failed')
  return brokenItself ? [...states, 'failed'] : states
}
