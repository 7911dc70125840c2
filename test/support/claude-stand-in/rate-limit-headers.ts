const LIMITS = {
  requests: 4000,
  tokens: 2_400_000,
  'input-tokens': 2_000_000,
  'output-tokens': 400_000,
}

/** The `anthropic-ratelimit-*` set. Nothing is counted: one request's worth is always gone. */
export function rateLimitHeaders(nowMs: number): Record<string, string> {
  const reset = `${new Date(nowMs + 60_000).toISOString().slice(0, 19)}Z`
  const headers: Record<string, string> = {}
  for (const [name, limit] of Object.entries(LIMITS)) {
    headers[`anthropic-ratelimit-${name}-limit`] = String(limit)
    headers[`anthropic-ratelimit-${name}-remaining`] = String(limit - 1)
    headers[`anthropic-ratelimit-${name}-reset`] = reset
  }
  return headers
}
