import { NAME_IN_CLIENTS } from '../../../config/tool-names.ts'
import { type Html, html } from '../../kit/html.ts'
import { type Page, PRODUCT } from '../../kit/layout.ts'

/** The address to enter in a client. */
export const howToConnect = (mcpUrl: string): Html => html`
<section class="card" aria-labelledby="connect">
<h2 id="connect">Connect a client</h2>
<p>Add this address as a connector, or as a remote MCP server:</p>
<code class="copy">${mcpUrl}</code>
<p class="soft">Your client then brings you here: you sign in, see what it asks for, and approve. In Claude Code:</p>
<code class="copy">claude mcp add --transport http ${NAME_IN_CLIENTS} ${mcpUrl}</code>
</section>`

type Addresses = {
  mcpUrl: string
  /** Null when it is not served. */
  openUrl: string | null
}

/** Shown when the MCP endpoint is opened in a browser. */
export const mcpAddressPage = ({ mcpUrl, openUrl }: Addresses): Page => ({
  title: 'An address for MCP clients',
  body: html`<h1>An address for MCP clients</h1>
<p class="soft">This is where programs talk to ${PRODUCT}. A browser has nothing to do here: enter the address in a client, such as Claude, Claude Code, VS Code or Cursor.</p>
${howToConnect(mcpUrl)}
${
  openUrl !== null &&
  html`<section class="card" aria-labelledby="without"><h2 id="without">Without signing in here</h2>
<p class="soft">A client that can neither sign in nor send a header uses this address instead. There it signs up and in with tools, and gives its token to each of the others as <code>access_token</code>:</p>
<code class="copy">${openUrl}</code></section>`
}
<p><a href="/">To the start page</a></p>`,
})
