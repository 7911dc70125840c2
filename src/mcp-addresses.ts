/** Where MCP is served: one endpoint under two addresses, which differ in what a request needs. */

/** The connectors': every request needs a token in its header, as clients that sign in expect it. */
export const MCP_PATH = '/mcp'

/** Also without: to look around, sign up and in, and pass `access_token` as an argument of each tool. */
export const OPEN_MCP_PATH = '/mcp/open'

/** Behind either, for one client: its tools are listed without the prefix of their names. */
export const SHORT_NAMES_QUERY = '?tools=short'
