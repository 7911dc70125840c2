/** The result of one check. */
export type Finding = {
  /** The setting that was checked. */
  setting: string
  /** `unknown`: it cannot be checked now. */
  state: 'ok' | 'wrong' | 'unknown'
  /** What was found, or what is wrong and what to do. */
  words: string
}
