/**
 * The gateway as `npm start` runs it: the build, in a process of its own, on a free port of this
 * machine. `npm test` builds first.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const MAIN = fileURLToPath(new URL('../../dist/main.js', import.meta.url))

export type GatewayProcess = {
  process: ChildProcess
  /** Without a path. */
  url: string
  /** What it tells the person who started it. */
  greeting: string
  /** SIGTERM, and waits for its end. @returns its exit code. */
  stop(): Promise<number | null>
}

/**
 * Waits until it listens. Of this process's environment it gets PATH and HOME only, so that
 * nobody's real settings are used.
 *
 * @param cwd its working folder; this process's unless given.
 * @throws Error with what it said when it ends instead.
 */
export async function startGatewayProcess(
  settings: Record<string, string>,
  cwd?: string,
): Promise<GatewayProcess> {
  const { PATH, HOME } = process.env
  const child = spawn(process.execPath, [MAIN], {
    // No load balancer is in front that would have to notice its end.
    env: { PATH, HOME, PORT: '0', DRAIN_SECONDS: '0', CLIENT_ID_DOCUMENTS: 'on', ...settings },
    stdio: ['ignore', 'pipe', 'pipe'],
    cwd,
  })
  const exit = once(child, 'close').then(([code]) => code as number | null)
  const end = () => child.kill()
  process.once('exit', end)
  exit.finally(() => process.off('exit', end))
  let greeting = ''
  const greeted = new Promise<void>((resolve) => {
    child.stderr.on('data', (chunk) => {
      greeting += chunk
      resolve()
    })
  })
  // Read to the end: a full pipe would stop a gateway that logs.
  const listening = new Promise<string>((resolve) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      const { msg, url } = JSON.parse(line)
      if (msg === 'listening') resolve(new URL(url).origin)
    })
  })
  const url = await Promise.race([listening, exit])
  if (typeof url !== 'string') throw new Error(`The gateway ended with ${url}. ${greeting}`)
  await greeted
  const stop = () => {
    child.kill('SIGTERM')
    return exit
  }
  return { process: child, url, greeting, stop }
}
