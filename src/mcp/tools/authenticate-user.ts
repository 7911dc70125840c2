import { z } from 'zod'
import { defineTool, storableText } from '../definitions/tool.ts'
import { issuedToken, toIssuedToken } from './issued-token.ts'

export const authenticateUser = defineTool({
  name: 'authenticate_user',
  title: 'Sign in',
  description:
    'Exchange username and password for an access token. Pass the token as access_token to the other tools, or as an Authorization: Bearer header.',
  access: 'public',
  hints: { readOnly: false, destructive: false, idempotent: false, openWorld: false },
  limitedAs: 'sign-in',
  input: z.object({
    username: storableText.min(1).max(64).describe('The name you registered with, in any case.'),
    password: z.string().min(1).max(1024).describe('The password that register_user returned.'),
  }),
  output: issuedToken,
  async run({ username, password }, { services, network }) {
    return toIssuedToken(await services.accounts.authenticate(username, password, network))
  },
})
