import type { ZxcvbnFactory } from '@zxcvbn-ts/core'

/** What a guesser who knows this gateway tries early. */
const OUR_WORDS = ['claude', 'gateway', 'anthropic', 'claude-gateway', 'claude-api-gateway']

/** A guesser who is slowed down by argon2 tries fewer; zxcvbn's own line for "somewhat safe". */
const FEWEST_GUESSES = 1e8

/** In UTF-16 code units. Looking at more of a password takes quadratic time, and tells little more. */
const JUDGED_LENGTH = 32

/** Shorter parts of a name say nothing: they are in many words. */
const MIN_NAME_LENGTH = 3

export type Guessable = 'common' | 'own-name'

let loaded: Promise<ZxcvbnFactory> | undefined

/**
 * Whether a password is among those that are guessed first: one that many people use, one with
 * little added, a pattern of keys or dates, or the names of its own user.
 *
 * @param names the user's own: of the account, an address.
 * @returns why, or undefined for a password that takes more than a hundred million guesses.
 */
export async function guessable(
  password: string,
  names: readonly string[],
): Promise<Guessable | undefined> {
  // Most processes never need it: it takes as long to load as half a start.
  loaded ??= load()
  const estimator = await loaded
  const judged = password.normalize('NFKC').slice(0, JUDGED_LENGTH)
  const { guesses, sequence } = estimator.check(judged, names.flatMap(parts))
  if (guesses >= FEWEST_GUESSES) return undefined
  return sequence.some(isOwnName) ? 'own-name' : 'common'
}

const isOwnName = (match: object) =>
  'dictionaryName' in match && match.dictionaryName === 'userInputs'

/** A name, what it is put together from, and the same written in one. */
function parts(name: string): string[] {
  const words = name.split(/[^\p{L}\p{N}]+/u)
  return [name, ...words, words.join('')].filter((part) => part.length >= MIN_NAME_LENGTH)
}

async function load(): Promise<ZxcvbnFactory> {
  const [{ ZxcvbnFactory }, { dictionary, adjacencyGraphs }] = await Promise.all([
    import('@zxcvbn-ts/core'),
    import('@zxcvbn-ts/language-common'),
  ])
  return new ZxcvbnFactory({
    dictionary: { ...dictionary, gateway: OUR_WORDS.flatMap(parts) },
    graphs: adjacencyGraphs,
  })
}
