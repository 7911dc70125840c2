import { defineResource, json } from '../definitions/resource.ts'

export const metrics = defineResource({
  uri: 'mcp://claude-api-gateway/metrics',
  name: 'metrics',
  title: 'Usage metrics',
  description:
    "Active users, conversations, messages of the last 24 hours, send_message times and security status: your own figures, or everybody's for an admin or auditor.",
  mimeType: 'application/json',
  scope: 'usage:read',
  async read({ caller, services }) {
    const figures = await services.metrics.read(caller)
    return json({
      scope: figures.scope,
      active_users: figures.activeUsers,
      total_conversations: figures.totalConversations,
      messages_last_24h: figures.messagesLast24h,
      performance: {
        window_hours: 24,
        send_message_ms: rounded(figures.performance.send),
        gateway_overhead_ms: rounded(figures.performance.overhead),
      },
      security: {
        encryption_key_id: figures.security.encryptionKeyId,
        failed_sign_ins_last_24h: figures.security.failedSignInsLast24h,
        active_sessions: figures.security.activeSessions,
      },
    })
  },
})

/** Whole milliseconds; null until an answer has been delivered. */
const rounded = (percentiles: Record<string, number | null>) =>
  Object.fromEntries(
    Object.entries(percentiles).map(([name, value]) => [
      name,
      value === null ? null : Math.round(value),
    ]),
  )
