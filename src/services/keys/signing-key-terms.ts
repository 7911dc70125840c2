/**
 * Which signing key does what, and until when: a new one verifies as soon as a replica has read it,
 * signs when all must have, and is deleted when no token of it can be alive.
 */

/** Several times what a replica takes to notice a new key. */
const ACTIVATION_SECONDS = 60
/** For a replica that begins to use the next key a little late. */
const GRACE_SECONDS = 60

type AgedKey = { kid: string; createdAt: Date; ageSeconds: number }

export type KeyTerm = {
  kid: string
  createdAt: Date
  state: 'next' | 'signing' | 'old' | 'over'
  signsFrom: Date
  /** Null while there is no newer key. */
  verifiesUntil: Date | null
}

/**
 * `keys` and the result: newest first. One of them is `signing`.
 *
 * Without a key that is old enough the oldest signs, at once: nobody has used another.
 */
export function termsOf(keys: readonly AgedKey[], longestTokenSeconds: number): KeyTerm[] {
  const overlap = longestTokenSeconds + GRACE_SECONDS
  const ripe = keys.findIndex(({ ageSeconds }) => ageSeconds >= ACTIVATION_SECONDS)
  const signing = ripe === -1 ? keys.length - 1 : ripe
  return keys.map((key, index) => {
    const successor = keys[index - 1]
    const isOver = (successor?.ageSeconds ?? 0) > ACTIVATION_SECONDS + overlap
    return {
      kid: key.kid,
      createdAt: key.createdAt,
      state: isOver ? 'over' : stateOf(index, signing),
      signsFrom: index === keys.length - 1 ? key.createdAt : later(key, ACTIVATION_SECONDS),
      verifiesUntil: successor ? later(successor, ACTIVATION_SECONDS + overlap) : null,
    }
  })
}

function stateOf(index: number, signing: number): 'next' | 'signing' | 'old' {
  if (index === signing) return 'signing'
  return index < signing ? 'next' : 'old'
}

const later = ({ createdAt }: AgedKey, seconds: number) =>
  new Date(createdAt.getTime() + seconds * 1000)
