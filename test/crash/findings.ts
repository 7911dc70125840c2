import type { Check } from './checks.ts'

/** What was looked at while faults were at work, by promise. */
export class Findings {
  readonly #checks = new Map<string, Check>()

  /** @param violation what was wrong; undefined when the promise held this time. */
  note(promise: string, violation?: string): void {
    const check = this.#checks.get(promise) ?? { promise, checked: 0, violations: [] }
    check.checked += 1
    if (violation !== undefined) check.violations.push(violation)
    this.#checks.set(promise, check)
  }

  get checks(): Check[] {
    return [...this.#checks.values()]
  }
}
