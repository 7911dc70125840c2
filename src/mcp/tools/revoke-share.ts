import { z } from 'zod'
import { AppError } from '../../errors.ts'
import { defineTool } from '../definitions/tool.ts'

export const revokeShare = defineTool({
  name: 'revoke_share',
  title: 'End a share',
  description:
    'End one share, which you gave or were given, or one link of yours, or all shares and links of a conversation of yours. It takes effect at once: an answer that a contributor waits for is stopped.',
  access: 'user',
  scope: 'conversations:share',
  feature: 'sharing',
  hints: { readOnly: false, destructive: true, idempotent: true, openWorld: false },
  input: z.object({
    share_id: z.uuid('must be an id from get_shares').optional().describe('End this one.'),
    conversation_id: z
      .uuid('must be a conversation id, as send_message or get_conversations returned it')
      .optional()
      .describe('With all: true, end all of this conversation of yours.'),
    all: z.literal(true).optional().describe('Needed with conversation_id, and only there.'),
  }),
  output: z.object({ ended: z.number().int().describe('How many.') }),
  async run({ share_id: shareId, conversation_id: id, all }, { caller, services }) {
    if (shareId !== undefined && id === undefined && all === undefined) {
      await services.sharing.end(caller, shareId)
      return { ended: 1 }
    }
    if (shareId !== undefined || id === undefined || all === undefined) throw oneOrAll()
    return { ended: await services.sharing.endAll(caller, id) }
  },
})

const oneOrAll = () =>
  new AppError(
    'invalid_input',
    'Give either share_id, or conversation_id together with all: true.',
    {
      details: { fields: ['share_id', 'conversation_id', 'all'] },
    },
  )
