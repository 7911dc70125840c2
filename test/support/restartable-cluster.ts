/** A PostgreSQL server of a test's own that can be stopped and started while others use it. */

import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { findPostgresql } from './postgresql-cluster.ts'

export type RestartableCluster = {
  url: string
  /** `fast` ends every connection in order; `immediate` is a crash: recovery at the next start. */
  halt(mode: 'fast' | 'immediate'): Promise<void>
  start(): Promise<void>
  /** Stops and deletes it. */
  close(): Promise<void>
}

/**
 * Does what its standard input says, and is stopped and deleted at the end of it, hence also when
 * the test is killed. fsync=off: a commit survives the server's crash, not the machine's.
 */
const SCRIPT = `
  bin=$1 port=$2 certificate=$3 key=$4
  folder=$(mktemp -d /tmp/gateway-pg.XXXXXX) && cd "$folder" || exit 1
  start() {
    "$bin/pg_ctl" -D data -l log -w -o "-k $folder -c max_connections=200 -c fsync=off $network" start
  }
  network='-c listen_addresses='
  test "$port" && network="-p $port -c listen_addresses=127.0.0.1,127.0.0.2"
  test "$certificate" && network="$network -c ssl=on -c ssl_cert_file=$folder/crt -c ssl_key_file=$folder/key"
  printf %s "$certificate" >crt
  (umask 077 && printf %s "$key" >key)
  if "$bin/initdb" -D data -U postgres -A trust -E UTF8 --locale=C --no-sync >&2 && start >&2
  then echo "$folder"
  else exec <&-
  fi
  while read -r command; do
    case $command in
      start) start >&2 ;;
      *) "$bin/pg_ctl" -D data -w -m "$command" stop >&2 ;;
    esac
    echo "$command $?"
  done
  "$bin/pg_ctl" -D data -w -m immediate stop >/dev/null 2>&1
  cd / && rm -rf "$folder"
`

/** Where this machine's server programs are; undefined when none are installed. */
export function findServerPrograms(): string | undefined {
  const source = findPostgresql({})
  return source && 'binaries' in source ? source.binaries : undefined
}

type Network = {
  /** On loopback too, where TLS is to be had with a certificate and its key, as PEM. */
  port?: number
  certificate?: string
  key?: string
}

/** @throws Error with the server's own words when it does not start. */
export async function startRestartableCluster(
  binaries: string,
  { port, certificate = '', key = '' }: Network = {},
): Promise<RestartableCluster> {
  const network = [String(port ?? ''), certificate, key]
  const shell = ['sh', '-c', SCRIPT, 'cluster', binaries, ...network]
  // initdb refuses to run as root.
  const asRoot = process.getuid?.() === 0
  const [command = '', ...args] = asRoot ? ['runuser', '-u', 'postgres', '--', ...shell] : shell
  const child = spawn(command, args, { cwd: '/', stdio: ['pipe', 'pipe', 'pipe'], detached: true })
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  let words = ''
  child.stderr.on('data', (chunk) => {
    words = (words + chunk).slice(-10_000)
  })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const close = () => {
    child.stdin.end()
    return ended
  }
  const run = async (order: string) => {
    child.stdin.write(`${order}\n`)
    const { value } = await lines.next()
    if (value !== `${order} 0`) throw new Error(`PostgreSQL did not ${order}: ${words}`)
  }
  const { value: folder, done } = await lines.next()
  if (done) {
    await ended
    throw new Error(`PostgreSQL did not start: ${words}`)
  }
  return {
    url: `postgresql://postgres@localhost${port ? `:${port}` : ''}/postgres?host=${folder}`,
    halt: run,
    start: () => run('start'),
    close,
  }
}
