import { MCP_PATH } from '../../mcp-addresses.ts'
import { SCOPES } from '../../services/scopes.ts'
import type { ListedSession } from '../../services/sessions.ts'
import { NAME_IN_CLIENTS } from '../../tool-names.ts'
import { EXPIRY_DAYS } from './connect.ts'
import { checkboxes, type FormState, field, select, summary } from './form.ts'
import { type Html, html } from './html.ts'
import type { Page } from './layout.ts'
import { sessionRow } from './sessions.ts'

type TokensPage = {
  csrfField: Html
  notice?: Html | undefined
  tokens: readonly ListedSession[]
  chosen: readonly string[]
  form: FormState
}

export function tokensPage({ csrfField, notice, tokens, chosen, form }: TokensPage): Page {
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
${checkboxes({ name: 'permissions', legend: 'It may', choices: scopes }, form)}
<button class="start">Create token</button></form>
</section>`,
  }
}

/** Shown once: it is not stored. */
export const newTokenPage = (token: string, name: string, publicUrl: string): Page => ({
  title: 'Your new token',
  layout: '/account/tokens',
  body: html`<h1>Your new token</h1>
<p class="notice good" role="status">Copy it now: it is shown only this once.</p>
<section class="card" aria-labelledby="token"><h2 id="token"><bdi>${name}</bdi></h2>
<code class="copy" id="new-token">${token}</code>
<p>In Claude Code:</p>
<code class="copy">claude mcp add --transport http ${NAME_IN_CLIENTS} ${publicUrl}${MCP_PATH} --header "Authorization: Bearer ${token}"</code>
<p class="soft">Elsewhere, send it to ${publicUrl}${MCP_PATH} as the header <code>Authorization: Bearer</code>, or give it as <code>authorization_token</code> to the MCP connector of the Messages API.</p>
<p><a href="/account/tokens">Done</a></p>
</section>`,
})
