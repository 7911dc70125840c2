import { z } from 'zod'
import type { Services } from '../../services/index.ts'
import { defineTool, instant } from '../definitions/tool.ts'

const health = z.object({
  status: z.enum(['healthy', 'unhealthy']),
  version: z.string(),
  uptime_seconds: z.number().int(),
  database: z.object({
    kind: z.enum(['embedded', 'postgresql']),
    reachable: z.boolean(),
    latency_ms: z.number().nullable(),
  }),
  upstream: z.object({
    status: z.enum(['unknown', 'reachable', 'unreachable']).describe('As the last call found it.'),
    last_seen_at: instant.nullable().describe('When that call was.'),
  }),
})

export const healthCheck = defineTool({
  name: 'health_check',
  title: 'Check health',
  description: 'Whether the gateway works: version, uptime, database, and Claude as last seen.',
  access: 'public',
  hints: { readOnly: true, destructive: false, idempotent: true, openWorld: false },
  input: z.object({}),
  output: health,
  run: (_args, { services }) => healthSummary(services),
})

/** The tool's output, which GET /health shares. */
export async function healthSummary(services: Services): Promise<z.infer<typeof health>> {
  const { uptimeSeconds, database, upstream, ...rest } = await services.health.check()
  return {
    ...rest,
    uptime_seconds: uptimeSeconds,
    database: {
      kind: database.kind,
      reachable: database.reachable,
      latency_ms: database.latencyMs,
    },
    upstream: {
      status: upstream.status,
      last_seen_at: upstream.lastSeenAt?.toISOString() ?? null,
    },
  }
}
