import type { ListedSession } from '../../../services/access/sessions.ts'
import { confirmation } from '../../kit/form.ts'
import { day, fact, minute, usd } from '../../kit/format.ts'
import { type Html, html } from '../../kit/html.ts'
import type { Page } from '../../kit/layout.ts'

type SessionsPage = {
  csrfField: Html
  notice?: Html | undefined
  sessions: readonly ListedSession[]
}

/** Connections come first: they are the main purpose of the page. */
export function sessionsPage({ csrfField, notice, sessions }: SessionsPage): Page {
  const connections = sessions.filter(({ kind }) => kind === 'connection')
  const signIns = sessions.filter(({ kind }) => kind === 'browser' || kind === 'password')
  const row = (session: ListedSession) => sessionRow(session, csrfField, '/account/connections')
  return {
    title: 'Connections',
    layout: '/account/connections',
    body: html`<div class="intro"><h1>Connections and sessions</h1>
<p class="soft">What you end here stops at once.</p></div>
${notice}
<section class="card" aria-labelledby="apps"><h2 id="apps">Connected apps</h2>
${connections.length === 0 ? html`<p class="soft">No app is connected.</p>` : html`<ul class="rows">${connections.map(row)}</ul>`}
</section>
<section class="card" aria-labelledby="sessions"><h2 id="sessions">Sessions</h2>
<ul class="rows">${signIns.map(row)}</ul>
</section>
<section class="card danger" aria-labelledby="all"><h2 id="all">End everything</h2>
<p class="soft">Ends all connections, sessions and access tokens of yours, and signs you out here.</p>
${confirmation(
  'End everything…',
  html`<p>Every app has to be connected again, and every access token made again.</p>
<form method="post" action="/account/connections/end-all">${csrfField}<button class="harm start">End everything</button></form>`,
)}
</section>`,
  }
}

/** A session with a form under `path` that ends it. */
export function sessionRow(session: ListedSession, csrfField: Html, path: string): Html {
  const { id, name, kind, isCurrent, createdAt, lastUsedAt, expiresAt } = session
  const title = name ?? NAMES[kind]
  return html`<li><div class="what">
<h3><bdi>${title}</bdi>${isCurrent && html` <span class="tag good">This browser</span>`}</h3>
<dl class="facts">
${fact('Created', day(createdAt))}
${fact('Last used', lastUsedAt ? minute(lastUsedAt) : 'never')}
${fact('Ends', day(expiresAt))}
${(kind === 'connection' || kind === 'personal') && fact('May use', session.scopes.join(', '))}
${session.allowedModels !== null && fact('Models', session.allowedModels.join(', '))}
${session.payingTeams.length > 0 && fact('May spend the money of', session.payingTeams.join(', '))}
${session.limitNanoUsd !== null && fact('Limit', monthlyLimit(session.limitNanoUsd, session.spentNanoUsd ?? 0n))}
</dl></div>
<form method="post" action="${path}/${id}/end">${csrfField}<button class="second small">End<span class="hush"> ${title}</span></button></form></li>`
}

const monthlyLimit = (limit: bigint, spent: bigint) => `${usd(spent)} of ${usd(limit)} this month`

const NAMES = {
  browser: 'Browser',
  password: 'Token of authenticate_user',
  connection: 'App',
  personal: 'Access token',
}
