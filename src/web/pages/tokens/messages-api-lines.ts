/** How clients of Anthropic's API are told of this gateway: one line for each, ready to paste. */

export type ClientLine = { client: string; line: string }

/** @param origin of the gateway, without a path. */
export function messagesApiLines(origin: string, token: string): ClientLine[] {
  return [
    {
      client: 'Claude Code',
      line: `ANTHROPIC_BASE_URL=${origin} ANTHROPIC_AUTH_TOKEN=${token} claude`,
    },
    {
      client: 'Claude Code, the token in a file (settings.json)',
      line: `{"apiKeyHelper": "cat ~/.claude/gateway-token", "env": {"ANTHROPIC_BASE_URL": "${origin}"}}`,
    },
    {
      client: 'TypeScript SDK',
      line: `new Anthropic({ baseURL: '${origin}', authToken: '${token}', apiKey: null })`,
    },
    {
      client: 'Python SDK',
      line: `Anthropic(base_url="${origin}", auth_token="${token}")`,
    },
    {
      client: 'Go SDK',
      line: `anthropic.NewClient(option.WithBaseURL("${origin}"), option.WithAuthToken("${token}"))`,
    },
    {
      client: 'LangChain (JavaScript)',
      line: `new ChatAnthropic({ model: 'claude-sonnet-5-5', apiKey: '${token}', anthropicApiUrl: '${origin}' })`,
    },
    {
      client: 'LangChain (Python)',
      line: `ChatAnthropic(model="claude-sonnet-5-5", api_key="${token}", base_url="${origin}")`,
    },
    {
      client: 'AI SDK',
      line: `createAnthropic({ baseURL: '${origin}/v1', authToken: '${token}' })`,
    },
    {
      client: 'opencode (opencode.json)',
      line: `{"provider": {"anthropic": {"options": {"baseURL": "${origin}/v1", "apiKey": "${token}"}}}}`,
    },
    {
      client: 'Cline: provider Anthropic, “Use custom base URL”',
      line: `${origin} with the API key ${token}`,
    },
    {
      client: 'Zed (settings.json; the key in its dialog)',
      line: `{"language_models": {"anthropic": {"api_url": "${origin}"}}}`,
    },
    {
      client: 'LibreChat (.env)',
      line: `ANTHROPIC_REVERSE_PROXY=${origin} ANTHROPIC_API_KEY=${token}`,
    },
    {
      client: 'Open WebUI: a connection of type Anthropic, or its Anthropic pipe',
      line: `${origin}/v1 with the API key ${token}`,
    },
  ]
}
