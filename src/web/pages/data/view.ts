import { type FormState, field, summary } from '../../kit/form.ts'
import { type Html, html } from '../../kit/html.ts'
import type { Page } from '../../kit/layout.ts'

type DataPage = { csrfField: Html; username: string; form: FormState }

export const dataPage = ({ csrfField, username, form }: DataPage): Page => ({
  title: 'Your data',
  layout: '/account/data',
  body: html`<h1>Your data</h1>
${summary(form)}
<section class="card" aria-labelledby="export"><h2 id="export">Export</h2>
<p class="soft">One JSON file with your conversations, usage, budgets and sessions. It holds no key and no password.</p>
<form method="post" action="/account/export">${csrfField}<button class="second start">Download my data</button></form>
</section>
<section class="card danger" aria-labelledby="delete"><h2 id="delete">Delete your account</h2>
<p>This cannot be undone. Your Anthropic key, conversations, connections and tokens are deleted at once, and the keys that encrypt them are destroyed. Nobody can bring them back.</p>
<form method="post" action="/account/delete">${csrfField}
${field({ name: 'username', label: html`Type your username, <bdi>${username}</bdi>`, autocomplete: 'off', maxLength: 64 }, form)}
${field({ name: 'password', label: 'Password', type: 'password', autocomplete: 'current-password', maxLength: 256 }, form)}
<button class="harm start">Delete my account for ever</button></form>
</section>`,
})
