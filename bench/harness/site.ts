/** What the cases share; each part is started when the first case asks for it. */

import { Generator } from '../load/generator.ts'
import type { UpstreamBehaviour, UpstreamCounts } from '../servers/upstream.ts'
import { type Bench, openStandingGateway } from './gateway.ts'
import { startThrowAwayCluster } from './postgresql.ts'
import type { Scale } from './scale.ts'
import { ServerProcess } from './server-process.ts'

const file = (name: string) => new URL(`../${name}`, import.meta.url).pathname
const TYPESCRIPT = ['--import', 'tsx']

export class Site {
  readonly scale: Scale
  /** Whether every gateway leaves a CPU profile behind. */
  readonly isProfiled: boolean
  readonly generator = new Generator()
  readonly #started = new Map<string, Promise<unknown>>()

  constructor(scale: Scale, isProfiled: boolean) {
    this.scale = scale
    this.isProfiled = isProfiled
  }

  /** The stand-in for Claude. */
  upstream(): Promise<ServerProcess> {
    return this.#once('upstream', () =>
      ServerProcess.start({ name: 'upstream', args: [...TYPESCRIPT, file('servers/upstream.ts')] }),
    )
  }

  /** Sets how it answers, and starts its counters anew. */
  async setUpstream(behaviour: Partial<UpstreamBehaviour> = {}): Promise<void> {
    const { origin } = await this.upstream()
    const body = JSON.stringify({ latencyMs: 0, deltas: 10, deltaMs: 0, ...behaviour })
    await fetch(`${origin}/bench`, { method: 'PUT', body })
  }

  async upstreamCounts(): Promise<UpstreamCounts> {
    const { origin } = await this.upstream()
    return (await (await fetch(`${origin}/bench`)).json()) as UpstreamCounts
  }

  /** A PostgreSQL server of this run, with durability on. */
  cluster() {
    return this.#once('cluster', startThrowAwayCluster)
  }

  /** Nothing when no case needed it. */
  async postgresqlVersion(): Promise<string[]> {
    if (!this.#started.has('cluster')) return []
    const { version } = await this.cluster()
    return [`PostgreSQL ${version}, fsync and synchronous_commit on, otherwise as it comes`]
  }

  /** The gateway on PostgreSQL, with its users and their conversations of 10 messages. */
  gateway(): Promise<Bench> {
    return this.#once('gateway', () => openStandingGateway(this))
  }

  portkey(): Promise<ServerProcess> {
    return this.#once('Portkey', async () =>
      ServerProcess.start({
        name: 'Portkey',
        args: [
          file('node_modules/@portkey-ai/gateway/build/start-server.js'),
          '--port={{port}}',
          '--headless',
        ],
        env: { NODE_ENV: 'production' },
      }),
    )
  }

  /** The least that a forwarder can do. */
  forwarder(): Promise<ServerProcess> {
    return this.#once('forwarder', async () =>
      ServerProcess.start({
        name: 'plain forwarder',
        args: [...TYPESCRIPT, file('servers/forwarder.ts')],
        env: { UPSTREAM: (await this.upstream()).origin },
      }),
    )
  }

  everything(): Promise<ServerProcess> {
    return this.#once('everything', () =>
      ServerProcess.start({
        name: 'server-everything',
        args: [
          file('node_modules/@modelcontextprotocol/server-everything/dist/index.js'),
          'streamableHttp',
        ],
      }),
    )
  }

  fastmcp(): Promise<ServerProcess> {
    return this.#once('fastmcp', () =>
      ServerProcess.start({ name: 'fastmcp', args: [file('servers/fastmcp-echo.mjs')] }),
    )
  }

  /** The least that an MCP server can do. */
  mcpStub(): Promise<ServerProcess> {
    return this.#once('stub', () =>
      ServerProcess.start({
        name: 'plain MCP stub',
        args: [...TYPESCRIPT, file('servers/mcp-stub.ts')],
      }),
    )
  }

  #once<T>(key: string, start: () => Promise<T>): Promise<T> {
    const started = this.#started.get(key) ?? start()
    this.#started.set(key, started)
    return started as Promise<T>
  }
}
