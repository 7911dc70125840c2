/** Debian's HAProxy in front of gateways, as docs/OPERATIONS.md sets it up. */

import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { isGiven } from './left-out.ts'

const EXECUTABLE = '/usr/sbin/haproxy'

export const hasHaproxy = isGiven(existsSync(EXECUTABLE), {
  leavesOut: 'tests behind HAProxy',
  because: `there is no ${EXECUTABLE} (apt-get install haproxy)`,
  demandedBy: 'REQUIRE_HAPROXY',
})

export type Haproxy = {
  url: string
  /** Whether it sends requests to the server, which are numbered as they were given. */
  isUp(server: number): Promise<boolean>
  close(): Promise<void>
}

const START_MS = 10_000

/** Lives as long as its standard input, so that it ends with the test run however that ends. */
const SCRIPT = `
  folder=$(mktemp -d /tmp/gateway-haproxy.XXXXXX) && cd "$folder" || exit 1
  echo "$1" | sed "s|FOLDER|$folder|" >config
  ${EXECUTABLE} -db -f config >&2 &
  balancer=$!
  echo "$folder"
  read -r _
  kill "$balancer" && wait "$balancer"
  rm -rf "$folder"
`

const configFor = (port: number, servers: readonly string[]) => `
global
  stats socket FOLDER/stats
defaults
  mode http
  timeout connect 5s
  timeout check 10s
  timeout client 330s
  timeout server 330s
  retries 3
  option redispatch
frontend gateway
  bind 127.0.0.1:${port}
  default_backend replicas
backend replicas
  balance roundrobin
  option httpchk GET /readyz
  default-server check inter 250ms fall 2 rise 2
${servers.map((server, i) => `  server replica${i} ${new URL(server).host}`).join('\n')}
`

/** @param port where it is to listen. @throws Error with its own words when it does not start. */
export async function startHaproxy(port: number, servers: readonly string[]): Promise<Haproxy> {
  const child = spawn('sh', ['-c', SCRIPT, 'haproxy', configFor(port, servers)], {
    stdio: ['pipe', 'pipe', 'pipe'],
    detached: true,
  })
  let words = ''
  child.stderr.on('data', (chunk) => {
    words += chunk
  })
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  const folder = await new Promise<string>((resolve) =>
    child.stdout.once('data', (chunk) => resolve(String(chunk).trim())),
  )
  const statesOf = () => ask(`${folder}/stats`, 'show servers state replicas').then(toStates)
  const until = performance.now() + START_MS
  while ((await statesOf().catch(() => [])).length === 0) {
    if (performance.now() > until) throw new Error(`HAProxy did not start: ${words}`)
    await sleep(50)
  }
  return {
    url: `http://127.0.0.1:${port}`,
    isUp: async (server) => (await statesOf())[server] === RUNNING,
    close() {
      child.stdin.end()
      return ended
    },
  }
}

/** HAProxy's management guide, "show servers state": srv_op_state. */
const RUNNING = '2'

/** A row for each server, after a version and a head: its state is the sixth field. */
const toStates = (table: string) =>
  table
    .split('\n')
    .slice(2)
    .flatMap((row) => row.split(' ')[5] ?? [])

async function ask(path: string, question: string): Promise<string> {
  const socket = connect(path)
  socket.end(`${question}\n`)
  return text(socket)
}
