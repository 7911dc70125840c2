/** Debian's PgBouncer in front of a PostgreSQL server, on loopback. */

import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from './free-port.ts'
import { isGiven } from './left-out.ts'

const PROGRAM = ['/usr/sbin/pgbouncer', '/usr/bin/pgbouncer'].find((path) => existsSync(path))

export const hasPgbouncer = isGiven(PROGRAM !== undefined, {
  leavesOut: 'tests behind a pooler',
  because: 'there is no pgbouncer',
  demandedBy: 'REQUIRE_PGBOUNCER',
})

export type Pooler = { url: string; close(): Promise<void> }

/** @param settings further lines of its configuration. */
export async function startPgbouncer(
  upstreamUrl: string,
  mode: 'session' | 'transaction' | 'statement',
  settings: readonly string[] = [],
): Promise<Pooler> {
  const upstream = new URL(upstreamUrl)
  const port = await freePort()
  const folder = await mkdtemp(join(tmpdir(), 'gateway-pgbouncer-'))
  const host = upstream.searchParams.get('host') ?? upstream.hostname
  const config = [
    '[databases]',
    `* = host=${host} port=${upstream.port || 5432} user=postgres`,
    '[pgbouncer]',
    'listen_addr = 127.0.0.1',
    `listen_port = ${port}`,
    'unix_socket_dir =',
    'auth_type = any',
    `pool_mode = ${mode}`,
    'server_reset_query = DISCARD ALL',
    'max_client_conn = 100',
    'default_pool_size = 40',
    ...settings,
  ]
  await writeFile(join(folder, 'pgbouncer.ini'), config.join('\n'))
  await chmod(folder, 0o755)
  const command = [PROGRAM as string, '-q', join(folder, 'pgbouncer.ini')]
  // It refuses to run as root.
  const asRoot = process.getuid?.() === 0
  const [program = '', ...args] = asRoot ? ['runuser', '-u', 'postgres', '--', ...command] : command
  const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'] })
  let words = ''
  child.stderr.on('data', (chunk) => {
    words += chunk
  })
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  const end = () => child.kill('SIGINT')
  process.once('exit', end)
  const close = async () => {
    process.off('exit', end)
    child.kill('SIGTERM')
    await ended
    await rm(folder, { recursive: true })
  }
  while (!(await listens(port))) {
    if (child.exitCode !== null) {
      await close()
      throw new Error(`PgBouncer did not start: ${words}`)
    }
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  const url = new URL(upstreamUrl)
  url.searchParams.delete('host')
  url.host = `127.0.0.1:${port}`
  return { url: url.href, close }
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.end())
  })
}
