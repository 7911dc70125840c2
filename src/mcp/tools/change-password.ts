import { z } from 'zod'
import { ChosenPassword } from '../../services/access/field-rules.ts'
import { defineTool } from '../definitions/tool.ts'

export const changePassword = defineTool({
  name: 'change_password',
  title: 'Change the password',
  description:
    "Replace your password and end all of your other sessions, connections and tokens. Passwords given here pass through the model that calls this tool: the gateway's account page does the same without.",
  access: 'user',
  scope: 'account',
  hints: { readOnly: false, destructive: true, idempotent: false, openWorld: false },
  input: z.object({
    current_password: z.string().min(1).max(1024).describe('The password in use until now.'),
    new_password: ChosenPassword.describe(
      '12 to 256 characters; none that many people use, or made of the username.',
    ),
  }),
  output: z.object({
    revoked_sessions: z.number().int().describe('Other sessions that ended; this one goes on.'),
  }),
  async run(args, { caller, services }) {
    const passwords = { currentPassword: args.current_password, newPassword: args.new_password }
    const { endedSessions } = await services.accounts.changePassword(caller, passwords)
    return { revoked_sessions: endedSessions }
  },
})
