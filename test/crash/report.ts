import type { Check } from './checks.ts'
import type { Figures } from './observations.ts'
import type { Deeds } from './phases.ts'

export type PhaseResult = { name: string; seconds: number; deeds: Deeds; figures: Figures }

export type RunFacts = {
  at: Date
  /** As it was called, without the program. */
  args: string
  gatewayVersion: string
  postgresqlVersion: string
  seconds: number
  settledAfterSeconds: number
  replicas: number
  clients: number
  apiClients: number
}

/** docs/FAULTS.md: what was done, how often, and what it did. */
export function toMarkdown(facts: RunFacts, phases: PhaseResult[], checks: Check[]): string {
  const violations = checks.reduce((sum, check) => sum + check.violations.length, 0)
  return `# What faults do to the gateway

Written by \`npm run crash -- ${facts.args}\`; do not edit. Last run:
${facts.at.toISOString()}, gateway ${facts.gatewayVersion}, Node ${process.version},
PostgreSQL ${facts.postgresqlVersion}, ${process.platform} ${process.arch}.

${facts.replicas} gateway processes on one PostgreSQL behind a TCP balancer that asks \`/readyz\`, a local stand-in
for Claude, ${facts.clients} clients of both protocol eras that send with idempotency keys and repeat each
call until they know how it ended, and ${facts.apiClients} clients of the Messages API. For every fourth of them a team pays. ${facts.seconds} s of faults; ${facts.settledAfterSeconds.toFixed(1)} s after the last one no answer ran
any more. **Violations: ${violations}.**

## What was done

| faults | time | what was done, how often | messages sent | answered | repeated calls | clients that vanished | ended without an answer |
|---|--:|---|--:|--:|--:|--:|---|
${phases.map(phaseRow).join('\n')}

A message that was sent in one row may be answered in the next. "Ended without an answer": the
caller was told so with an error that names the message, or its retries ran out (\`given up\`).

## What was lost

| promise | checked | violations |
|---|--:|--:|
${checks.map(({ promise, checked, violations: found }) => `| ${promise} | ${checked} | ${found.length} |`).join('\n')}
${listViolations(checks)}
## What is promised, exactly

- **Acknowledged** is an answer that a client received with \`status: complete\`. It stays readable,
  whole and under the same \`message_id\`, also when something fails afterwards.
- **One key, one answer.** The stand-in counts, by a marker in the text, the calls that it began to
  answer, which are those that Anthropic bills. No key has two, and an acknowledged key has exactly
  one. Calls that were turned away before any answer (529) are tried again and cost nothing.
- **What a killed process makes unavoidable:** its running answers end as \`interrupted\`, with the
  text of the last checkpoint and an estimated usage. They are not asked for again behind the
  caller's back: a repeat of the key is told \`interrupted\`, and sending again takes a new key, hence a
  second charge, by the caller's own decision. Any replica closes them that has had its database
  for the time of a lease (12 s); while none lives that long, they wait, and so do repeats.
- A call of the Messages API is sent once, by whichever gateway it reached: nothing repeats it but its
  client, as another call. Its answer reaches the client as it comes, and is booked when it has ended:
  one that a kill cut, or whose gateway was killed before it was booked, is booked at the most that it
  may have cost.
- **A restart in turn** fails no call: a gateway that is stopped serves on until the balancer has noticed, and ends
  after its last answer. All other faults are met by repeating calls with their keys.
- While PostgreSQL is away, cannot be written or has no space, nothing new begins; an answer under way
  is kept in memory and written when it is back. A process that is killed in that time loses what it
  could not write: such an answer was never acknowledged, and ends as \`interrupted\`.
`
}

function phaseRow({ name, seconds, deeds, figures }: PhaseResult): string {
  const done = listed(deeds) || '-'
  const { keys, acknowledged, repeats, vanished, ended } = figures
  const cells = [name, `${seconds.toFixed(0)} s`, done, keys, acknowledged, repeats, vanished]
  return `| ${cells.join(' | ')} | ${listed(ended) || '-'} |`
}

/** Of each promise, so that a broken one does not bury the others. */
const MAX_LISTED = 20

const listed = (counts: Record<string, number>) =>
  Object.entries(counts)
    .map(([what, times]) => `${what}: ${times}`)
    .join('; ')

function listViolations(checks: Check[]): string {
  const lines = checks
    .flatMap(({ violations }) => violations.slice(0, MAX_LISTED))
    .map((line) => `- ${line}`)
  return lines.length === 0 ? '' : `\nViolations:\n\n${lines.join('\n')}\n`
}
