import { z } from 'zod'
import { readsAnswer } from '../../services/turns/answers/follow-answer.ts'
import { defineTool } from '../definitions/tool.ts'
import { answer, shownAnswer, waitSeconds } from './answer.ts'

export const getMessage = defineTool({
  name: 'get_message',
  title: 'Collect an answer',
  description:
    "Claude's answer by its message_id: finished, or the text so far. Use it when send_message said running, or the connection was lost.",
  access: 'user',
  scope: 'messages:send',
  hints: { readOnly: true, destructive: false, idempotent: true, openWorld: false },
  streams: true,
  input: z.object({
    message_id: z
      .uuid('must be a message_id that send_message returned')
      .describe('Of the answer.'),
    wait_seconds: waitSeconds
      .default(0)
      .describe('How long to wait for a running answer to finish, 0 to 300.'),
    offset: z
      .number()
      .int()
      .min(0)
      .max(100_000_000)
      .default(0)
      .describe('Where in the answer content begins: next_offset of a result that was cut.'),
  }),
  output: z.object({
    ...answer,
    error_code: z.string().nullable().describe('Why there is no complete answer.'),
  }),
  announce: ({ message_id: id }) => readsAnswer(id),
  async run(
    { message_id: id, wait_seconds: waitSeconds, offset },
    { caller, services, signal, progress },
  ) {
    const options = { waitSeconds, signal, onText: progress }
    return shownAnswer(await services.answers.get(caller, id, options), offset)
  },
})
