import { z } from 'zod'
import { AnthropicApiKey } from '../../services/account-rules.ts'
import { defineTool } from '../tool.ts'

export const updateApiKey = defineTool({
  name: 'update_api_key',
  title: 'Replace the Anthropic key',
  description:
    'Replace your stored Anthropic API key, for example after it was revoked. Your conversations stay. The key passes through the model that calls this tool: people who mind use a key made for this gateway.',
  access: 'user',
  hints: { readOnly: false, destructive: true, idempotent: true, openWorld: true },
  input: z.object({
    anthropic_api_key: AnthropicApiKey.describe(
      'Your new Anthropic API key (sk-ant-api…). Checked with Anthropic, then stored encrypted.',
    ),
  }),
  output: z.object({ last_four: z.string().describe('The end of the key now stored.') }),
  async run({ anthropic_api_key: apiKey }, { caller, services }) {
    await services.accounts.replaceKey(caller, apiKey)
    return { last_four: apiKey.slice(-4) }
  },
})
