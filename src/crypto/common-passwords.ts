import type { ZxcvbnFactory } from '@zxcvbn-ts/core'

/** Words that an attacker who knows this gateway tries early. */
const OUR_WORDS = ['claude', 'gateway', 'anthropic', 'claude-gateway', 'claude-api-gateway']

/** argon2 slows an attacker down to fewer; zxcvbn's own threshold for "somewhat safe". */
const FEWEST_GUESSES = 1e8

/** In UTF-16 code units. Judging more of a password takes quadratic time and adds little. */
const JUDGED_LENGTH = 32

/** Shorter parts of a name are ignored: they occur in many words. */
const MIN_NAME_LENGTH = 3

export type Guessable = 'common' | 'own-name'

let loaded: Promise<ZxcvbnFactory> | undefined

/**
 * Whether a password is easily guessed: a common one, one with little added, a pattern of keys or
 * dates, or the names of its own user.
 *
 * @param names the user's own: username and email address.
 * @returns why, or undefined for a password that takes more than a hundred million guesses.
 */
export async function guessable(
  password: string,
  names: readonly string[],
): Promise<Guessable | undefined> {
  // Loaded lazily: most processes never need it, and it takes half as long as a start.
  loaded ??= load()
  const estimator = await loaded
  const judged = password.normalize('NFKC').slice(0, JUDGED_LENGTH)
  const { guesses, sequence } = estimator.check(judged, names.flatMap(parts))
  if (guesses >= FEWEST_GUESSES) return undefined
  return sequence.some(isOwnName) ? 'own-name' : 'common'
}

const isOwnName = (match: object) =>
  'dictionaryName' in match && match.dictionaryName === 'userInputs'

/** A name, its parts, and the parts joined together. */
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
