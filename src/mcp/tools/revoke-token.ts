import { z } from 'zod'
import { AppError } from '../../errors.ts'
import { requireScopes } from '../../services/access/scopes.ts'
import { defineTool } from '../definitions/tool.ts'

export const revokeToken = defineTool({
  name: 'revoke_token',
  title: 'Sign out',
  description:
    'End this session, another one of yours by its session_id, or all of them. What acts through them (tokens, connected clients) stops working at once.',
  access: 'user',
  hints: { readOnly: false, destructive: true, idempotent: false, openWorld: false },
  input: z.object({
    session_id: z
      .uuid('must be an id from list_sessions')
      .optional()
      .describe('End this one only: an id from list_sessions.'),
    all_sessions: z
      .boolean()
      .default(false)
      .describe('true ends every session of yours, false (default) only this one.'),
  }),
  output: z.object({ revoked_sessions: z.number().int() }),
  async run({ session_id: id, all_sessions: all }, { caller, services }) {
    // A token's holder may always revoke it, as in RFC 7009.
    const isOwn = !all && (id === undefined || id === caller.sessionId)
    if (!isOwn) requireScopes(caller.scopes, ['account'])
    if (id === undefined) {
      if (all) return { revoked_sessions: await services.sessions.revokeAll(caller) }
      return { revoked_sessions: (await services.sessions.revoke(caller)) ? 1 : 0 }
    }
    if (all) throw oneOrAll()
    if (!(await services.sessions.revokeOne(caller, id))) throw sessionNotFound()
    return { revoked_sessions: 1 }
  },
})

const oneOrAll = () =>
  new AppError('invalid_input', 'Give either session_id or all_sessions, not both.', {
    details: { fields: ['session_id', 'all_sessions'] },
  })

const sessionNotFound = () =>
  new AppError('not_found', 'You have no live session with this id. list_sessions lists yours.', {
    details: { field: 'session_id' },
  })
