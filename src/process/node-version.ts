/**
 * Ends a process on a Node.js that is too old, before anything is loaded that would end it in words
 * that nobody understands. Imports nothing and writes nothing that an old one would not take.
 */

/** As package.json has it. */
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
