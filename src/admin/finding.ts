/** What one look found. */
export type Finding = {
  /** The setting that leads there. */
  setting: string
  /** `unknown`: it cannot be told now. */
  state: 'ok' | 'wrong' | 'unknown'
  /** What was found, or what is wrong and what to do. */
  words: string
}
