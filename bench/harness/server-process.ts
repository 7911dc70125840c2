/** A server in a process of its own, with a port of its own, until it is stopped. */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import { onExit } from './cleanup.ts'

const PRELOAD = new URL('../preload.mjs', import.meta.url).href
const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const POLL_MS = 5
const START_LIMIT_MS = 30_000
const STOP_LIMIT_MS = 15_000

export type EventLoopDelay = { p50Ms: number; p99Ms: number; maxMs: number }

type Start = {
  name: string
  /** Arguments of node; the port replaces `{{port}}`. */
  args: string[]
  env?: Record<string, string>
  /** Answered with 200 once it can serve; unless given, any answer to / will do. */
  readyPath?: string
}

export class ServerProcess {
  readonly name: string
  readonly origin: string
  /** From the start of the process until it could serve. */
  startMs = Number.NaN
  readonly #child: ChildProcess

  private constructor(name: string, origin: string, child: ChildProcess) {
    this.name = name
    this.origin = origin
    this.#child = child
  }

  /**
   * Its standard output goes nowhere, as every server's here does. Of this process's environment it
   * gets PATH and HOME only.
   *
   * @throws Error with what it said on standard error when it does not serve.
   */
  static async start({ name, args, env = {}, readyPath }: Start): Promise<ServerProcess> {
    const port = await freePort()
    const origin = `http://127.0.0.1:${port}`
    const { PATH, HOME } = process.env
    const startedAt = performance.now()
    const child = spawn(
      process.execPath,
      ['--import', PRELOAD, ...args.map((arg) => arg.replace('{{port}}', String(port)))],
      {
        cwd: ROOT,
        env: { PATH, HOME, PORT: String(port), ...env },
        stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
        // Ctrl-C in the terminal is the harness's to act on.
        detached: true,
      },
    )
    const words = lastWords(child)
    const server = new ServerProcess(name, origin, child)
    onExit(() => server.stop())
    const isReady = readyPath === undefined ? answers(origin) : isOk(`${origin}${readyPath}`)
    while (!(await isReady())) {
      const isOver = performance.now() - startedAt > START_LIMIT_MS
      if (isOver || child.exitCode !== null) throw new Error(`${name} did not start. ${words()}`)
      await new Promise((resolve) => setTimeout(resolve, POLL_MS))
    }
    server.startMs = performance.now() - startedAt
    return server
  }

  get pid(): number {
    return Number(this.#child.pid)
  }

  watchEventLoop(): void {
    this.#child.send('watch event loop')
  }

  /** How late timers ran since it was watched. */
  async eventLoopDelay(): Promise<EventLoopDelay> {
    this.#child.send('tell event loop')
    const [delay] = await once(this.#child, 'message', { signal: AbortSignal.timeout(5000) })
    return delay
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const exit = once(this.#child, 'exit')
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), STOP_LIMIT_MS)
    this.#child.kill('SIGTERM')
    await exit
    clearTimeout(timer)
  }
}

function lastWords(child: ChildProcess): () => string {
  let words = ''
  child.stderr?.on('data', (chunk) => {
    words = `${words}${chunk}`.slice(-2000)
  })
  return () => words
}

const answers = (origin: string) => () =>
  fetch(origin, { signal: AbortSignal.timeout(1000) }).then(
    (response) => response.arrayBuffer().then(() => true),
    () => false,
  )

const isOk = (url: string) => () =>
  fetch(url).then(
    (response) => response.arrayBuffer().then(() => response.ok),
    () => false,
  )

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const address = probe.address()
  await new Promise((resolve) => probe.close(resolve))
  if (typeof address !== 'object' || address === null) throw new Error('no free port')
  return address.port
}
