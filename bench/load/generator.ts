/** The load generator as the harness uses it. */

import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { onExit } from '../harness/cleanup.ts'
import type { Job, LoadResult } from './job.ts'

const WORKER = fileURLToPath(new URL('./worker.ts', import.meta.url))
/** For the last responses of a job, over its own time. */
const MARGIN_SECONDS = 150

export class Generator {
  readonly #worker: ChildProcess

  constructor() {
    this.#worker = fork(WORKER, {
      execArgv: ['--import', 'tsx'],
      // Arrays of numbers pass as they are.
      serialization: 'advanced',
      // Ctrl-C in the terminal is the harness's to act on.
      detached: true,
    })
    onExit(() => this.#worker.kill('SIGKILL'))
  }

  /** @throws Error when the job could not be done at all; failed requests are in its result. */
  async run(job: Job): Promise<LoadResult> {
    this.#worker.send(job)
    const signal = AbortSignal.timeout((job.seconds + MARGIN_SECONDS) * 1000)
    const [answer] = await once(this.#worker, 'message', { signal })
    if ('failure' in answer) throw new Error(`load generator: ${answer.failure}`)
    return answer as LoadResult
  }
}
