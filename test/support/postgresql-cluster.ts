/** A PostgreSQL server for one test run: its own folder, a Unix socket, no network. */

import { spawn, spawnSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { createInterface } from 'node:readline'

/** A server that is already running, or the binaries to start one from. */
export type PostgresqlSource = { url: string } | { binaries: string; fsync: boolean }

export type Cluster = { url: string; stop(): Promise<void> }

/**
 * Starts, says where, and lives exactly as long as its standard input: it is stopped and deleted
 * also when the test run is killed. `--no-sync` and fsync=off: nothing here outlives the run.
 */
const SCRIPT = `
  folder=$(mktemp -d /tmp/gateway-pg.XXXXXX) && cd "$folder" || exit 1
  if "$1/initdb" -D data -U postgres -A trust -E UTF8 --locale=C --no-sync >log 2>&1; then
    "$1/postgres" -D data -k "$folder" -c listen_addresses= -c max_connections=200 -c fsync=$2 >>log 2>&1 &
    server=$!
    until grep -qs ready data/postmaster.pid; do kill -0 $server 2>/dev/null || break; sleep 0.05; done
  fi
  if grep -qs ready data/postmaster.pid; then echo "$folder"; else cat log >&2; fi
  read -r _
  test "$server" && kill -QUIT $server && wait $server
  cd / && rm -rf "$folder"
`

/** TEST_DATABASE_URL, else the server installed on this machine; TEST_POSTGRESQL_FSYNC=true is slow. */
export function findPostgresql(env: NodeJS.ProcessEnv): PostgresqlSource | undefined {
  if (env.TEST_DATABASE_URL) return { url: env.TEST_DATABASE_URL }
  const binaries = findServerBinaries()
  return binaries ? { binaries, fsync: env.TEST_POSTGRESQL_FSYNC === 'true' } : undefined
}

/** The newest in Debian's place, or pg_config's. */
function findServerBinaries(): string | undefined {
  const debian = '/usr/lib/postgresql'
  const majors = existsSync(debian) ? readdirSync(debian).map(Number).filter(Number.isFinite) : []
  const places = majors.sort((a, b) => b - a).map((major) => `${debian}/${major}/bin`)
  const asked = spawnSync('pg_config', ['--bindir'], { encoding: 'utf8' }).stdout?.trim()
  return [...places, ...(asked ? [asked] : [])].find((place) => existsSync(`${place}/initdb`))
}

/** @throws Error with the server's own log when it does not start. */
export async function startCluster(source: { binaries: string; fsync: boolean }): Promise<Cluster> {
  const shell = ['sh', '-c', SCRIPT, 'cluster', source.binaries, source.fsync ? 'on' : 'off']
  // initdb refuses to run as root.
  const asRoot = process.getuid?.() === 0
  const [command = '', ...args] = asRoot ? ['runuser', '-u', 'postgres', '--', ...shell] : shell
  const child = spawn(command, args, { cwd: '/', stdio: ['pipe', 'pipe', 'pipe'], detached: true })
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  let complaint = ''
  child.stderr.on('data', (chunk) => {
    complaint += chunk
    child.stdin.end()
  })
  child.once('error', (error) => {
    complaint += error.message
  })
  const stop = () => {
    child.stdin.end()
    return ended
  }
  for await (const folder of createInterface({ input: child.stdout })) {
    return { stop, url: `postgresql://postgres@localhost/postgres?host=${folder}` }
  }
  await ended
  throw new Error(`PostgreSQL did not start: ${complaint}`)
}
