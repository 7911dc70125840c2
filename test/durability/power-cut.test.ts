import { expect, test } from 'vitest'
import { firstStart } from '../support/databases.ts'
import { cutThePower, type Finding } from '../support/power-cuts.ts'

/** Each cut takes the start of a process. */
const TIMEOUT_MS = 400_000

async function findingsOf(order: Parameters<typeof cutThePower>[0]): Promise<Finding[]> {
  // The snapshot that the first of these starts unpacks.
  await (await firstStart()).drop()
  const findings: Finding[] = []
  for await (const finding of cutThePower(order)) findings.push(finding)
  return findings
}

const shown = (findings: Finding[]) => findings.filter(({ complaints }) => complaints.length > 0)

test('after power cuts the embedded database opens, and lacks nothing it has acknowledged', {
  timeout: TIMEOUT_MS,
}, async () => {
  const findings = await findingsOf({ cuts: 6, durability: 'full', seed: 20 })
  expect(shown(findings)).toEqual([])
  expect(findings.at(-1)?.found).toBeGreaterThan(50)
})

test('with EMBEDDED_DURABILITY=fast it opens too, and lacks a second at most', {
  timeout: TIMEOUT_MS,
}, async () => {
  const findings = await findingsOf({ cuts: 3, durability: 'fast', seed: 40 })
  expect(shown(findings)).toEqual([])
})
