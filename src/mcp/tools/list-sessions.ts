import { z } from 'zod'
import type { ListedSession } from '../../services/access/sessions.ts'
import { toUsd } from '../../text/usd-amount.ts'
import { defineTool, instant } from '../definitions/tool.ts'
import { untrustedMark, untrustedText } from '../untrusted-text.ts'

const MAX_LISTED = 100

export const listSessions = defineTool({
  name: 'list_sessions',
  title: 'List sessions',
  description: `Everything that can act as you now, newest first, at most ${MAX_LISTED}: sign-ins, browser sessions, connected clients and personal access tokens. revoke_token with a session_id ends one.`,
  access: 'user',
  scope: 'account',
  hints: { readOnly: true, destructive: false, idempotent: true, openWorld: false },
  input: z.object({}),
  output: z.object({
    sessions: z.array(
      z.object({
        id: z.uuid(),
        kind: z
          .enum(['password', 'browser', 'connection', 'personal'])
          .describe(
            'password: from authenticate_user. browser: the pages. connection: a client connected by OAuth. personal: a personal access token.',
          ),
        name_is_untrusted: untrustedMark,
        name: z
          .string()
          .nullable()
          .describe('Of the client, the personal access token or the browser.'),
        scopes: z.array(z.string()).describe('What it may do.'),
        created_at: instant,
        last_used_at: instant.nullable().describe('To about five minutes.'),
        expires_at: instant,
        is_current: z.boolean().describe('The one this call is made with.'),
        limit_usd: z.number().nullable().describe('The most it may spend a month (UTC).'),
        spent_usd: z.number().nullable().describe('This month; null without a limit.'),
      }),
    ),
  }),
  async run(_args, { caller, services }) {
    const sessions = await services.sessions.list(caller, MAX_LISTED)
    return {
      sessions: sessions.map((session) => ({
        id: session.id,
        kind: session.kind,
        ...toName(session),
        scopes: [...session.scopes],
        created_at: session.createdAt.toISOString(),
        last_used_at: session.lastUsedAt?.toISOString() ?? null,
        expires_at: session.expiresAt.toISOString(),
        is_current: session.isCurrent,
        limit_usd: toUsd(session.limitNanoUsd),
        spent_usd: toUsd(session.spentNanoUsd),
      })),
    }
  },
})

/** A connection has the name that its client chose, which is untrusted. */
const toName = ({ kind, name }: ListedSession) =>
  kind === 'connection' && name !== null
    ? { name_is_untrusted: true as const, name: untrustedText(name) }
    : { name }
