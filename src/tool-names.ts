/** What tools are called: a prefix, which the operator or a client may leave out, and their own name. */

/** Of the names that this gateway is documented with. They can be called whatever the setting says. */
export const USUAL_TOOL_PREFIX = 'claude-api-gateway_'

/**
 * What models' makers take: names of at most 64 characters (63 with some) out of letters, digits, _ and
 * -, that begin with a letter or _. Clients put the name they gave the server in front.
 */
export const TOOL_PREFIX_PATTERN = /^[A-Za-z_][A-Za-z0-9_-]{0,23}$/
export const TOOL_PREFIX_RULE =
  'must be none, or at most 24 letters, digits, _ and - that begin with a letter or _'

/** What people are told to call the gateway in their client: short, as it stands before every tool. */
export const NAME_IN_CLIENTS = 'claude'
