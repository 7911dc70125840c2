import { z } from 'zod'
import { defineTool } from '../definitions/tool.ts'
import { answer, shownAnswer } from './answer.ts'

export const cancelMessage = defineTool({
  name: 'cancel_message',
  title: 'Stop an answer',
  description:
    'Stop an answer that is running. What Claude wrote until then is kept and what was billed is booked; an answer that has ended stays as it is.',
  access: 'user',
  scope: 'messages:send',
  hints: { readOnly: false, destructive: true, idempotent: true, openWorld: true },
  input: z.object({
    message_id: z
      .uuid('must be a message_id that send_message returned')
      .describe('Of the answer.'),
  }),
  output: z.object({
    ...answer,
    error_code: z.string().nullable().describe('cancelled, or why else it ended.'),
  }),
  async run({ message_id: id }, { caller, services, signal }) {
    return shownAnswer(await services.answers.cancel(caller, id, signal))
  },
})
