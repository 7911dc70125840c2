import { NAME_IN_CLIENTS } from '../../../config/tool-names.ts'
import { MCP_PATH } from '../../../network/mcp-addresses.ts'
import { SCOPES, type Scope } from '../../../services/access/scopes.ts'
import type { ListedSession } from '../../../services/access/sessions.ts'
import { checkboxes, type FormState, field, select, summary } from '../../kit/form.ts'
import { type Html, html } from '../../kit/html.ts'
import type { Page } from '../../kit/layout.ts'
import { EXPIRY_DAYS } from '../connect/view.ts'
import { sessionRow } from '../sessions/view.ts'
import { type Purses, pursesBoxes } from '../teams/purses.ts'
import { messagesApiLines } from './messages-api-lines.ts'

type TokensPage = {
  csrfField: Html
  notice?: Html | undefined
  tokens: readonly ListedSession[]
  chosen: readonly string[]
  purses: Purses
  form: FormState
}

export function tokensPage({ csrfField, notice, tokens, chosen, purses, form }: TokensPage): Page {
  const scopes = Object.entries(SCOPES).map(([value, label]) => ({
    value,
    label,
    note: value,
    isChosen: chosen.includes(value),
  }))
  return {
    title: 'Access tokens',
    layout: '/account/tokens',
    body: html`<div class="intro"><h1>Access tokens</h1>
<p class="soft">For agents, scripts and clients that cannot open a sign-in page. A token acts as you, within what you allow it.</p></div>
${notice}${summary(form)}
<section class="card" aria-labelledby="yours"><h2 id="yours">Your tokens</h2>
${
  tokens.length === 0
    ? html`<p class="soft">You have none.</p>`
    : html`<ul class="rows">${tokens.map((token) => sessionRow(token, csrfField, '/account/tokens'))}</ul>`
}
</section>
<section class="card" aria-labelledby="new"><h2 id="new">New token</h2>
<form method="post" action="/account/tokens">${csrfField}
<div class="pair">
${field({ name: 'name', label: 'Name', autocomplete: 'off', maxLength: 64 }, form)}
${select({ name: 'days', label: 'Ends after', options: EXPIRY_DAYS }, form.values.days ?? '90')}
</div>
<div class="pair">
${field({ name: 'limit', label: 'Monthly limit in USD', isOptional: true, autocomplete: 'off', inputMode: 'decimal', maxLength: 12 }, form)}
${field({ name: 'models', label: 'Models at the Messages API', isOptional: true, hint: 'Names, separated by commas. Every model if empty.', autocomplete: 'off', maxLength: 1000 }, form)}
</div>
${checkboxes({ name: 'permissions', legend: 'It may', choices: scopes }, form)}
${pursesBoxes(purses)}
${purses.length > 0 && html`<p class="soft">At the Messages API a token has one payer: the team ticked here, one at most, or else your own key. Elsewhere a team pays only where a call or its conversation says so.</p>`}
<button class="start">Create token</button></form>
</section>`,
  }
}

/** `payer`: the name of the team that pays for its calls of the Messages API; undefined: its user. */
type NewToken = {
  token: string
  name: string
  scopes: readonly Scope[]
  payer: string | undefined
}

/** Shown once: it is not stored. */
export const newTokenPage = ({ token, name, scopes, payer }: NewToken, origin: string): Page => ({
  title: 'Your new token',
  layout: '/account/tokens',
  body: html`<h1>Your new token</h1>
<p class="notice good" role="status">Copy it now: it is shown only this once.</p>
<section class="card" aria-labelledby="token"><h2 id="token"><bdi>${name}</bdi></h2>
<code class="copy" id="new-token">${token}</code>
${scopes.some((scope) => scope !== 'messages:api') && forMcp(token, origin)}
<p><a href="/account/tokens">Done</a></p>
</section>
${scopes.includes('messages:api') && forMessagesApi(token, payer, origin)}`,
})

const forMcp = (
  token: string,
  origin: string,
): Html => html`<p>In Claude Code, as an MCP server:</p>
<code class="copy">claude mcp add --transport http ${NAME_IN_CLIENTS} ${origin}${MCP_PATH} --header "Authorization: Bearer ${token}"</code>
<p class="soft">Elsewhere, send it to ${origin}${MCP_PATH} as the header <code>Authorization: Bearer</code>, or give it as <code>authorization_token</code> to the MCP connector of the Messages API.</p>`

const forMessagesApi = (
  token: string,
  payer: string | undefined,
  origin: string,
): Html => html`<section class="card" aria-labelledby="messages-api"><h2 id="messages-api">For clients of Anthropic’s API</h2>
<p class="soft">They work as with Anthropic itself, ${payer === undefined ? 'within your budget here, and your key stays here' : html`paid by <bdi>${payer}</bdi> within its budget and your part of it`}.</p>
${messagesApiLines(origin, token).map(
  ({ client, line }) => html`<p>${client}:</p>
<code class="copy">${line}</code>`,
)}
</section>`
