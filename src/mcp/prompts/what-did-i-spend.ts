import { z } from 'zod'
import { definePrompt } from '../definitions/prompt.ts'
import { usage } from '../resources/usage.ts'

export const whatDidISpend = definePrompt({
  name: 'what_did_i_spend',
  title: 'What did I spend?',
  description: 'Your cost of the last 30 days, by day and by model, in words.',
  scope: 'usage:read',
  input: z.strictObject({}),
  async messages(_args, { caller, services, worded }) {
    const { uri, mimeType } = usage
    const contents = await usage.read({ caller, services })
    return [
      { role: 'user', content: { type: 'resource', resource: { uri, mimeType, ...contents } } },
      { role: 'user', content: { type: 'text', text: worded(REQUEST) } },
    ]
  },
})

const REQUEST =
  'Tell me in a few sentences what I spent on Claude: in all, on which days and for which models most, and whether it grows. Ask get_budget what is left of my limits.'
