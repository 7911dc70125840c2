import { z } from 'zod'
import { AnthropicApiKey, Email, Username } from '../../services/access/field-rules.ts'
import { defineTool } from '../definitions/tool.ts'

export const registerUser = defineTool({
  name: 'register_user',
  title: 'Register a user',
  description:
    'Create a user and store their Anthropic API key, encrypted. Returns a generated password, shown this once. The key passes through the model that calls this tool: people who mind use a key made for this gateway.',
  access: 'public',
  hints: { readOnly: false, destructive: false, idempotent: false, openWorld: true },
  limitedAs: 'registration',
  input: z.object({
    username: Username.describe(
      '3 to 64 characters out of A-Z a-z 0-9 . _ -, unique without case.',
    ),
    email: Email.describe('Email address, unique.'),
    anthropic_api_key: AnthropicApiKey.describe(
      'Your Anthropic API key (sk-ant-api…). Checked with Anthropic, then stored encrypted.',
    ),
  }),
  output: z.object({
    user_id: z.uuid(),
    username: z.string(),
    password: z.string().describe('Shown only here. Store it now.'),
    message: z.string(),
  }),
  async run({ username, email, anthropic_api_key: apiKey }, { services, network }) {
    const user = await services.accounts.register({ username, email, apiKey }, network)
    return {
      user_id: user.userId,
      username: user.username,
      password: user.password,
      message:
        'User registered successfully. Store your password securely - it cannot be recovered.',
    }
  },
})
