/** One gateway process as it is shipped: killed, and started again whenever it is not running. */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

const MAIN = fileURLToPath(new URL('../../dist/main.js', import.meta.url))
/** The process must not outlive the run, however that ends. It does not know of this. */
const END_WITH_PARENT = `data:text/javascript,${encodeURIComponent(
  "process.channel.unref(); process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'))",
)}`
const RESTART_PAUSE_MS = 300

export type ReplicaEnd = {
  code: number | null
  signal: NodeJS.Signals | null
  wasListening: boolean
  /** The last it said. */
  words: string
}

export class Replica {
  readonly port: number
  readonly #settings: Record<string, string>
  readonly #onEnd: (end: ReplicaEnd) => void
  #child: ChildProcess | undefined
  #isWanted = true
  #isListening = false

  constructor(port: number, settings: Record<string, string>, onEnd: (end: ReplicaEnd) => void) {
    this.port = port
    this.#settings = settings
    this.#onEnd = onEnd
    this.#spawn()
  }

  /** It said that it listens, and has not ended since. */
  get isListening(): boolean {
    return this.#isListening
  }

  /** kill -9; it comes back by itself. */
  kill(): void {
    this.#child?.kill('SIGKILL')
  }

  /** SIGTERM; resolves once it listens again. */
  async restart(): Promise<void> {
    const child = this.#child
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    const exit = once(child, 'exit')
    child.kill('SIGTERM')
    await exit
    while (this.#isWanted && !this.#isListening) await sleep(50)
  }

  /** SIGTERM, for good. @returns its exit code. */
  async stop(): Promise<number | null> {
    this.#isWanted = false
    const child = this.#child
    if (!child || child.exitCode !== null || child.signalCode !== null) return null
    child.kill('SIGTERM')
    const [code] = await once(child, 'exit')
    return code
  }

  #spawn(): void {
    const { PATH, HOME } = process.env
    const child = spawn(process.execPath, ['--import', END_WITH_PARENT, MAIN], {
      env: { PATH, HOME, PORT: String(this.port), ...this.#settings },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    })
    this.#child = child
    let words = ''
    const hear = (chunk: unknown) => {
      words = (words + String(chunk)).slice(-4000)
      if (words.includes('Claude API Gateway is running')) this.#isListening = true
    }
    child.stdout?.on('data', hear)
    child.stderr?.on('data', hear)
    child.once('exit', (code, signal) => {
      const wasListening = this.#isListening
      this.#isListening = false
      this.#onEnd({ code, signal, wasListening, words })
      if (this.#isWanted) setTimeout(() => this.#isWanted && this.#spawn(), RESTART_PAUSE_MS)
    })
  }
}
