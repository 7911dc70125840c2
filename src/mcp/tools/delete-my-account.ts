import { z } from 'zod'
import { AppError } from '../../errors.ts'
import { defineTool } from '../definitions/tool.ts'

export const deleteMyAccount = defineTool({
  name: 'delete_my_account',
  title: 'Delete my account',
  description:
    "Delete your account with all conversations, keys and sessions, at once and permanently. Billed figures stay, and what you wrote to others, unnamed. Ask the user before. The password passes through the model that calls this tool: the gateway's account page does the same without.",
  access: 'user',
  scope: 'account',
  hints: { readOnly: false, destructive: true, idempotent: false, openWorld: false },
  input: z.object({
    password: z.string().min(1).max(1024).describe('Your password.'),
    confirm: z.string().max(64).describe('Your username, typed out by you.'),
    withdraw_messages: z
      .boolean()
      .default(false)
      .describe('Replaces the text of your messages in conversations of others by "(withdrawn)".'),
  }),
  output: z.object({
    deleted: z.literal(true),
    messages_left: z.number().int().describe('Of yours, in conversations of others.'),
    messages_withdrawn: z.number().int(),
    conversations_handed_over: z.number().int().describe('To members of your teams.'),
  }),
  async run({ password, confirm, withdraw_messages: isWithdrawing }, { caller, services }) {
    if (confirm !== caller.username) {
      throw new AppError(
        'invalid_input',
        'confirm must be your username. Nothing has been deleted.',
        { details: { field: 'confirm' } },
      )
    }
    const deleted = await services.accounts.delete(caller, password, { isWithdrawing })
    return {
      deleted: true as const,
      messages_left: deleted.messagesLeft,
      messages_withdrawn: deleted.messagesWithdrawn,
      conversations_handed_over: deleted.handedOver,
    }
  },
})
