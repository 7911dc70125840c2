/**
 * Cuts the power of the embedded database again and again, half the time within a start, and looks
 * each time whether it opens and what is missing.
 *
 * `npm run power-cuts -- [--cuts 50] [--seed 1]`. Exits with 1 when anything is wrong.
 */

import { parseArgs } from 'node:util'
import { cutThePower } from '../support/power-cuts.ts'

const { values } = parseArgs({
  options: { cuts: { type: 'string', default: '50' }, seed: { type: 'string', default: '1' } },
})
const say = (text: string) => process.stdout.write(`${text}\n`)

for (const durability of ['full', 'fast'] as const) {
  let wrong = 0
  const order = { cuts: Number(values.cuts), durability, seed: Number(values.seed) }
  for await (const { cut, acknowledged, found, complaints } of cutThePower(order)) {
    const state = found === undefined ? 'not open yet' : `${found} rows`
    say(`${durability}: ${acknowledged} acknowledged before, ${state}; then ${cut}`)
    for (const complaint of complaints) say(`  WRONG: ${complaint}`)
    wrong += complaints.length
  }
  say(`${durability}: ${values.cuts} cuts, ${wrong} complaints`)
  if (wrong > 0) process.exitCode = 1
}
