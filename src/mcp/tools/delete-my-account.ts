import { z } from 'zod'
import { AppError } from '../../errors.ts'
import { defineTool } from '../tool.ts'

export const deleteMyAccount = defineTool({
  name: 'delete_my_account',
  title: 'Delete my account',
  description:
    "Delete your account with all conversations, keys and sessions, at once and for ever; only figures of what was billed stay. Ask the user before. The password passes through the model that calls this tool: the gateway's account page does the same without.",
  access: 'user',
  scope: 'account',
  hints: { readOnly: false, destructive: true, idempotent: false, openWorld: false },
  input: z.object({
    password: z.string().min(1).max(1024).describe('Your password.'),
    confirm: z.string().max(64).describe('Your username, typed out by you.'),
  }),
  output: z.object({ deleted: z.literal(true) }),
  async run({ password, confirm }, { caller, services }) {
    if (confirm !== caller.username) {
      throw new AppError(
        'invalid_input',
        'confirm must be your username. Nothing has been deleted.',
        { details: { field: 'confirm' } },
      )
    }
    await services.accounts.delete(caller, password)
    return { deleted: true as const }
  },
})
