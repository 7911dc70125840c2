import type { Site } from './site.ts'

export type Table = { heading: string; columns: string[]; rows: string[][] }

/** What had to come out, and what came out. */
export type Verdict = {
  target: string
  measured: string
  isMet: boolean
  /** Hoped for, not demanded. */
  isAim?: boolean
}

/** One panel of the chart. */
export type Bars = {
  title: string
  /** Said under the title: conditions, and which way is better. */
  remark: string
  bars: { label: string; value: number; isOurs: boolean }[]
}

export type CaseReport = {
  /** Conditions, and what was checked before the timing. */
  notes: string[]
  tables: Table[]
  verdicts: Verdict[]
  bars?: Bars[]
}

export type Case = {
  name: string
  /** One line. */
  about: string
  run(site: Site): Promise<CaseReport>
}

export const defineCase = (benchCase: Case): Case => benchCase

/** Checks that come before a case's timing. @throws Error that says what is wrong. */
export function ensure(isTrue: boolean, complaint: string): asserts isTrue {
  if (!isTrue) throw new Error(`not measured, because it does not work: ${complaint}`)
}
