import { z } from 'zod'
import { defineTool } from '../definitions/tool.ts'
import { issuedToken, toIssuedToken } from './issued-token.ts'

export const rotateToken = defineTool({
  name: 'rotate_token',
  title: 'Rotate the access token',
  description:
    'Get a new access token for the one in use, which stops working at once. For long-running agents: rotate before expires_at.',
  access: 'user',
  onlyWith: 'password',
  hints: { readOnly: false, destructive: true, idempotent: false, openWorld: false },
  input: z.object({}),
  output: issuedToken,
  async run(_args, { caller, services }) {
    return toIssuedToken(await services.sessions.rotate(caller))
  },
})
