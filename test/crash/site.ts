/** Everything a run needs, started: PostgreSQL, the stand-in, the gateways, the balancer. */

import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from '../support/free-port.ts'
import { findServerPrograms, startRestartableCluster } from '../support/restartable-cluster.ts'
import { type Balancer, startBalancer } from './balancer.ts'
import { openSmallDisk } from './disk.ts'
import { Findings } from './findings.ts'
import { Observations } from './observations.ts'
import type { Stage } from './phases.ts'
import { Replica, type ReplicaEnd } from './replica.ts'
import { startUpstream } from './upstream.ts'

export const REPLICAS = 3
const CALM_VANISH_PERCENT = 3
const START_MS = 60_000

export type Site = Stage & {
  balancer: Balancer
  /** Of every gateway. */
  settings: Record<string, string>
  /** How gateways ended that nobody had killed. */
  selfInflicted: string[]
}

type Closable = { close(): unknown }

/**
 * @param opened gets what was started, in order, also when the rest cannot be.
 * @throws Error when there is no PostgreSQL to start, or a gateway does not start.
 */
export async function buildSite(opened: Closable[]): Promise<Site> {
  const keep = <T extends Closable>(thing: T): T => {
    opened.push(thing)
    return thing
  }
  const disk = await openSmallDisk()
  if ('close' in disk) keep(disk)
  const programs = findServerPrograms()
  if (!programs) throw new Error('no PostgreSQL server is installed here')
  const cluster = keep(await startRestartableCluster(programs))
  const upstream = keep(await startUpstream())
  const ports: number[] = []
  for (let i = 0; i < REPLICAS; i++) ports.push(await freePort())
  const balancer = keep(await startBalancer(ports))
  const settings = settingsFor(cluster.url, upstream.url, balancer.url)
  const selfInflicted: string[] = []
  const replicas = ports.map(
    (port) => new Replica(port, settings, (end) => noteEnd(end, selfInflicted)),
  )
  keep({ close: () => Promise.all(replicas.map((replica) => replica.stop())) })
  await untilListening(replicas)
  if ('attach' in disk) await disk.attach(cluster.url)
  return {
    cluster,
    upstream,
    balancer,
    disk,
    settings,
    selfInflicted,
    replicas,
    habits: { vanishPercent: CALM_VANISH_PERCENT },
    userIds: [],
    seen: new Observations(),
    findings: new Findings(),
  }
}

/** @throws Error when one does not come up. */
export async function untilListening(replicas: readonly Replica[]): Promise<void> {
  const until = performance.now() + START_MS
  while (!replicas.every(({ isListening }) => isListening)) {
    if (performance.now() > until) throw new Error('the gateways did not start')
    await sleep(100)
  }
}

function settingsFor(databaseUrl: string, claudeUrl: string, publicUrl: string) {
  return {
    DATABASE_URL: databaseUrl,
    DATABASE_POOL_SIZE: '8',
    ENCRYPTION_KEY: randomBytes(32).toString('base64'),
    ANTHROPIC_BASE_URL: claudeUrl,
    PUBLIC_URL: publicUrl,
    SESSION_TIMEOUT: '604800',
    UPSTREAM_FIRST_TOKEN_SECONDS: '3',
    UPSTREAM_IDLE_SECONDS: '3',
    DRAIN_SECONDS: '2',
    SHUTDOWN_GRACE_SECONDS: '15',
    REQUESTS_PER_MINUTE: '1000000',
    MESSAGES_API_REQUESTS_PER_MINUTE: '1000000',
    ANONYMOUS_REQUESTS_PER_MINUTE: '1000000',
    REGISTRATIONS_PER_HOUR: '1000',
    SIGN_INS_PER_MINUTE: '1000',
    LOG_LEVEL: 'error',
  }
}

/** A start without PostgreSQL fails, as it should, and is repeated; a running process must not end. */
function noteEnd({ signal, code, words, wasListening }: ReplicaEnd, selfInflicted: string[]): void {
  if (signal === 'SIGKILL' || code === 0 || !wasListening) return
  selfInflicted.push(`a gateway ended with ${code ?? signal}: ${words.slice(-500)}`)
}
