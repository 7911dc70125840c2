import { invalid } from './api-error.ts'
import { automaticIndex, breakpointsOf } from './prompt-cache.ts'
import { explicitCacheControl, type Prompt } from './tokens.ts'
import type { MessagesRequest } from './wire.ts'

const MAX_BREAKPOINTS = 4

/** Four breakpoints at most, the automatic one included, and no 1h behind a 5m (Anthropic API docs: Prompt caching). */
export function checkBreakpoints(
  { cache_control: automatic }: MessagesRequest,
  prompt: Prompt,
): void {
  const explicit = breakpointsOf(prompt)
  const used = explicit.length + (automatic ? 1 : 0)
  if (used > MAX_BREAKPOINTS) {
    throw invalid(
      `A maximum of ${MAX_BREAKPOINTS} blocks with cache_control may be provided. Found ${used}.`,
    )
  }
  const last = prompt.segments[automaticIndex(prompt)]
  const own = last && explicitCacheControl(last.block)
  if (automatic && own && (own.ttl ?? '5m') !== (automatic.ttl ?? '5m')) {
    throw invalid(
      'cache_control: the last block has an explicit cache_control with a different ttl',
    )
  }
  const ttls = breakpointsOf(prompt, automatic).map(({ ttl }) => ttl)
  if (ttls.lastIndexOf('1h') > ttls.indexOf('5m') && ttls.includes('5m')) {
    throw invalid(
      "a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block",
    )
  }
}
