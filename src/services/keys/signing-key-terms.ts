/**
 * The lifecycle of signing keys: a new key verifies as soon as a replica has read it, signs once
 * all replicas must have read it, and is deleted once none of its tokens can still be valid.
 */

/** Several times what a replica needs to notice a new key. */
const ACTIVATION_SECONDS = 60
/** For a replica that switches to the next key a little late. */
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
 * `keys` and the result are sorted newest first. Exactly one of the result is `signing`.
 *
 * While no key is old enough, the oldest signs at once: no other has been used.
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
