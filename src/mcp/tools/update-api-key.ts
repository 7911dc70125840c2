import { z } from 'zod'
import { AnthropicApiKey } from '../../services/access/field-rules.ts'
import { defineTool, instant } from '../definitions/tool.ts'

export const updateApiKey = defineTool({
  name: 'update_api_key',
  title: 'Replace the Anthropic key',
  description:
    'Store or replace your Anthropic API key; conversations stay. Call it without a key: it returns a link, good once, to a page where you enter the key yourself. A key given as an argument passes through the model that calls this tool.',
  access: 'user',
  scope: 'account',
  hints: { readOnly: false, destructive: true, idempotent: true, openWorld: true },
  limitedAs: 'sign-in',
  input: z.object({
    anthropic_api_key: AnthropicApiKey.optional().describe(
      'Better left out: the model sees it. Your Anthropic API key (sk-ant-api…), checked with Anthropic, then stored encrypted.',
    ),
  }),
  output: z.object({
    last_four: z.string().optional().describe('The end of the key now stored.'),
    url: z.url().optional().describe('For the user to open in a browser, signed in. Works once.'),
    expires_at: instant.optional().describe('When the link stops working.'),
  }),
  async run({ anthropic_api_key: apiKey }, { caller, services }) {
    if (apiKey === undefined) {
      const { url, expiresAt } = await services.keyLinks.create(caller, 'account')
      return { url, expires_at: expiresAt.toISOString() }
    }
    await services.accounts.replaceKey(caller, apiKey)
    return { last_four: apiKey.slice(-4) }
  },
})
