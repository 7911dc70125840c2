import { z } from 'zod'
import { defineTool } from '../tool.ts'

export const revokeToken = defineTool({
  name: 'revoke_token',
  title: 'Sign out',
  description: 'End this session, or all of your sessions. Their tokens stop working at once.',
  access: 'user',
  hints: { readOnly: false, destructive: true, idempotent: false, openWorld: false },
  input: z.object({
    all_sessions: z
      .boolean()
      .default(false)
      .describe('true ends every session of yours, false (default) only this one.'),
  }),
  output: z.object({ revoked_sessions: z.number().int() }),
  async run({ all_sessions: all }, { caller, services }) {
    return { revoked_sessions: await services.sessions.revoke(caller, all ? 'all' : 'this') }
  },
})
