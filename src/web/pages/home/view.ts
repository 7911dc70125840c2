import { MCP_PATH } from '../../../network/mcp-addresses.ts'
import { type Html, html } from '../../kit/html.ts'
import { type Page, PRODUCT } from '../../kit/layout.ts'
import { howToConnect } from '../mcp-address/view.ts'

type Home = { publicUrl: string; isSignedIn: boolean; registrationOpen: boolean; notice?: Html }

export function homePage({ publicUrl, isSignedIn, registrationOpen, notice }: Home): Page {
  const mcpUrl = `${publicUrl}${MCP_PATH}`
  return {
    title: 'Claude from every client, with one key',
    layout: 'wide',
    body: html`${notice}
<section class="hero">
<h1>Claude from every client, with one key</h1>
<p class="lead">${PRODUCT} keeps your Anthropic key, your conversations and your spending in one place. Connect Claude, Claude Code, VS Code, Cursor or your own agents to it.</p>
<div class="actions">${entrance(isSignedIn, registrationOpen)}</div>
</section>
${howToConnect(mcpUrl)}
<div class="cards">
<section class="card"><h2>Your key stays here</h2><p class="soft">You enter it on this site, never in a chat. It is encrypted, and no client or agent ever sees it.</p></section>
<section class="card"><h2>You stay in charge</h2><p class="soft">Every connection has its own permissions, its own end and, if you like, its own monthly limit. End one and it stops at once.</p></section>
</div>`,
  }
}

function entrance(isSignedIn: boolean, registrationOpen: boolean): Html {
  if (isSignedIn) return html`<a class="button" href="/account">Your account</a>`
  const signIn = (kind: string) => html`<a class="button ${kind}" href="/sign-in">Sign in</a>`
  if (!registrationOpen) return signIn('')
  return html`<a class="button" href="/sign-up">Create an account</a>${signIn('second')}`
}
