/** Starts the stand-in's process and talks to it. */

import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Fault } from '../support/claude-stand-in/faults.ts'

/** Calls of one marker: answers that were begun (and are billed), and calls turned away. */
export type Tally = { begun: number; refused: number }

export type ClaudeOrder = { kind: 'script'; faults: Fault[] } | { kind: 'report' }
export type ClaudeAnswer =
  | { kind: 'ready'; url: string }
  | { kind: 'report'; tallies: [string, Tally][] }

export type Upstream = {
  url: string
  script(...faults: Fault[]): void
  report(): Promise<Map<string, Tally>>
  close(): void
}

export async function startUpstream(): Promise<Upstream> {
  const script = fileURLToPath(new URL('claude.ts', import.meta.url))
  const child = fork(script, { execArgv: ['--import', 'tsx'] })
  const order = (what: ClaudeOrder) => void (child.connected && child.send(what))
  const [ready] = (await once(child, 'message')) as [Extract<ClaudeAnswer, { kind: 'ready' }>]
  return {
    url: ready.url,
    script: (...faults) => order({ kind: 'script', faults }),
    async report() {
      const answer = once(child, 'message')
      order({ kind: 'report' })
      const [report] = (await answer) as [Extract<ClaudeAnswer, { kind: 'report' }>]
      return new Map(report.tallies)
    },
    close: () => child.disconnect(),
  }
}
