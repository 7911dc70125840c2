/** Paths of the MCP endpoint: one endpoint under two addresses that differ in authentication. */

/** For connectors: every request needs a token in its header, as clients that sign in expect. */
export const MCP_PATH = '/mcp'

/** No token needed: to list tools, sign up and in, and pass `access_token` as a tool argument. */
export const OPEN_MCP_PATH = '/mcp/open'

/** Appended to either: lists the tools without the prefix of their names, for one client. */
export const SHORT_NAMES_QUERY = '?tools=short'
