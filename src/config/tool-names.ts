/** Tool names: a prefix, which the operator or a client may omit, and the tool's own name. */

/** The prefix in the documentation. Tools can be called with it under any setting. */
export const USUAL_TOOL_PREFIX = 'claude-api-gateway_'

/**
 * Model providers accept names of at most 64 characters (some 63) of letters, digits, _ and -, that
 * begin with a letter or _. Clients prepend their name for the server.
 */
export const TOOL_PREFIX_PATTERN = /^[A-Za-z_][A-Za-z0-9_-]{0,23}$/
export const TOOL_PREFIX_RULE =
  'must be none, or at most 24 letters, digits, _ and - that begin with a letter or _'

/** Suggested name for the gateway in a client: short, as clients prepend it to every tool. */
export const NAME_IN_CLIENTS = 'claude'
