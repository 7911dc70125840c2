/** What Claude could have said: the demo calls nobody, so the stand-in recites. */

const DOUBLE_SLIT = `Send electrons, one at a time, at a wall with two narrow slits. Each one \
lands on the screen behind as a single dot, as a particle would. Yet after thousands of dots a \
pattern of bright and dark bands appears, which only waves that pass through both slits and \
interfere can make. Now put a detector at the slits to see which way each electron goes: the \
bands vanish. What travels is a wave of possibilities; what arrives is always one particle, and \
finding out the path removes the interference.`

const ANALOGY = `Think of a coin spinning on a table. While it spins it is neither heads nor \
tails: it is a blur with something of both, and that blur can do things a flat coin cannot. Slap \
it down, which is your measurement, and you see one face, never the blur. An electron is like \
that: undisturbed it behaves as a spread-out wave, and when something records where it is, you \
get one definite dot. The analogy stops at one point: a real coin has a face at every moment, and \
an electron, as far as experiments show, does not.`

/** @param userTurns how often the user has spoken, this time included. */
export function answerTo(userTurns: number): string {
  return userTurns === 1 ? DOUBLE_SLIT : ANALOGY
}
