/** Ways in which an answer's usage may be told otherwise than it should be. What is billed stays. */
export const ODDITIES = [
  'start_without_usage',
  'start_with_null',
  'start_of_garbage',
  'delta_without_usage',
  'delta_of_garbage',
  'second_delta',
  'never_told',
] as const

export type Oddity = (typeof ODDITIES)[number]

const GARBAGE = {
  input_tokens: -5,
  cache_creation_input_tokens: 'many',
  cache_read_input_tokens: 1e300,
  cache_creation: 7,
  output_tokens: Number.MAX_VALUE,
  output_tokens_details: [],
  inference_geo: { us: true },
  speed: 3,
}

/** The usage that `message_start` is to show; undefined: none. */
export function oddStart(usage: object, oddity: Oddity | undefined): unknown {
  if (oddity === 'start_without_usage' || oddity === 'never_told') return undefined
  if (oddity === 'start_with_null') return null
  return oddity === 'start_of_garbage' ? GARBAGE : usage
}

/** The usage that `message_delta` is to show; undefined: none. */
export function oddDelta(usage: object, oddity: Oddity | undefined): unknown {
  if (oddity === 'delta_without_usage' || oddity === 'never_told') return undefined
  return oddity === 'delta_of_garbage' ? GARBAGE : usage
}
