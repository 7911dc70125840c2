import { MCP_PATH } from '../../../network/mcp-addresses.ts'
import type { BudgetAlert } from '../../../services/billing/alerts/budget-alerts.ts'
import type { ShownRequest } from '../../../services/billing/requests/budget-requests.ts'
import { count, usd } from '../../kit/format.ts'
import { type Html, html } from '../../kit/html.ts'
import type { Page } from '../../kit/layout.ts'
import type { KeyStatus } from '../key/view.ts'
import { ownRequests } from '../requests/rows.ts'
import { alertsCard } from '../usage/alerts-view.ts'

type Overview = {
  username: string
  publicUrl: string
  alerts: readonly BudgetAlert[]
  key: KeyStatus
  connections: number
  tokens: number
  spentNanoUsd: bigint
  limitNanoUsd: bigint | null
  /** Open ones. */
  requests: readonly ShownRequest[]
  csrfField: Html
}

export function overviewPage(account: Overview): Page {
  const { username, publicUrl, key, connections, tokens } = account
  return {
    title: 'Your account',
    layout: '/account',
    body: html`<h1>Hello, <bdi>${username}</bdi></h1>
${!key && html`<section class="notice warn"><p>You have not added an Anthropic key yet. <a href="/account/key">Add one</a> so that your clients can send messages.</p></section>`}
${alertsCard(account.alerts)}
<section class="card" aria-labelledby="address">
<h2 id="address">Connect a client</h2>
<code class="copy">${publicUrl}${MCP_PATH}</code>
<p class="soft">Add this address as a connector in Claude, or as a remote MCP server elsewhere. Agents and scripts use an <a href="/account/tokens">access token</a>.</p>
</section>
<div class="cards">
${card('This month', usd(account.spentNanoUsd), limitText(account.limitNanoUsd), '/account/usage', 'See usage')}
${card('Anthropic key', key ? `••••${key.lastFour}` : 'None', keyText(key), '/account/key', key ? 'Manage key' : 'Add key')}
${card('Connections', count(connections), connections === 1 ? 'app that you approved' : 'apps that you approved', '/account/connections', 'Manage connections')}
${card('Access tokens', count(tokens), 'for agents and scripts', '/account/tokens', 'Manage tokens')}
</div>
${account.requests.length > 0 && html`<section class="card" aria-labelledby="requests"><h2 id="requests">You asked for a higher limit</h2>${ownRequests(account.requests, account.csrfField)}</section>`}`,
  }
}

const card = (title: string, figure: string, text: string, path: string, link: string) => html`
<section class="card"><h2>${title}</h2><p class="figure">${figure}</p><p class="soft">${text}</p><p><a href="${path}">${link}</a></p></section>`

const limitText = (limit: bigint | null) =>
  limit === null ? 'spent, without a limit' : `spent, of a limit of ${usd(limit)}`

function keyText(key: KeyStatus): string {
  if (!key) return 'needed to send messages'
  return key.rejectedAt ? 'refused by Anthropic: replace it' : 'in use for your messages'
}
