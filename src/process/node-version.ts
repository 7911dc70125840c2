/**
 * Exits on a Node.js that is too old, before loading anything that would fail there with an obscure
 * error. Imports nothing, and uses no syntax that an old version would not accept.
 */

/** Same as in package.json. */
const OLDEST = '20.19'

/** What to do; undefined when the version is new enough. */
export function oldNodeProblem(version: string): string | undefined {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const [oldestMajor = 0, oldestMinor = 0] = OLDEST.split('.').map(Number)
  if (major > oldestMajor || (major === oldestMajor && minor >= oldestMinor)) return undefined
  return `This is Node.js ${version}, and the gateway needs ${OLDEST} or newer: install one from https://nodejs.org, then run npm ci again.`
}

const problem = oldNodeProblem(process.versions.node)
if (problem !== undefined) {
  process.stderr.write(`\n${problem}\n\n`)
  process.exit(1)
}
