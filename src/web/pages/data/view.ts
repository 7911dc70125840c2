import type { Foreseen } from '../../../services/accounts/departure.ts'
import { checkboxes, type FormState, field, summary } from '../../kit/form.ts'
import { counted } from '../../kit/format.ts'
import { type Html, html } from '../../kit/html.ts'
import type { Page } from '../../kit/layout.ts'

type DataPage = { csrfField: Html; username: string; form: FormState; foreseen: Foreseen }

export const dataPage = ({ csrfField, username, form, foreseen }: DataPage): Page => ({
  title: 'Your data',
  layout: '/account/data',
  body: html`<h1>Your data</h1>
${summary(form)}
<section class="card" aria-labelledby="export"><h2 id="export">Export</h2>
<p class="soft">One JSON file with your conversations, usage, budgets and sessions. It holds no key and no password.</p>
<form method="post" action="/account/export">${csrfField}<button class="second start">Download my data</button></form>
</section>
<section class="card" aria-labelledby="import"><h2 id="import">Import</h2>
<p class="soft">Bring conversations from claude.ai, ChatGPT or another gateway.</p>
<p><a class="button second start" href="/account/import">Import conversations</a></p>
</section>
<section class="card danger" aria-labelledby="delete"><h2 id="delete">Delete your account</h2>
<p>This cannot be undone. Your Anthropic key, conversations, connections and tokens are deleted at once, and the keys that encrypt them are destroyed. Nobody can bring them back.</p>
${ofTeams(foreseen)}
<form method="post" action="/account/delete">${csrfField}
${elsewhere(foreseen)}
${field({ name: 'username', label: html`Type your username, <bdi>${username}</bdi>`, autocomplete: 'off', maxLength: 64 }, form)}
${field({ name: 'password', label: 'Password', type: 'password', autocomplete: 'current-password', maxLength: 256 }, form)}
<button class="harm start">Delete my account permanently</button></form>
</section>`,
})

const ofTeams = ({ handedOver, deletedOfTeams }: Foreseen): Html => html`${
  handedOver > 0 &&
  html`<p>${counted(handedOver, 'conversation')} of yours that a team keeps will pass to the member who has contributed for longest.</p>`
}${
  deletedOfTeams > 0 &&
  html`<p>${counted(deletedOfTeams, 'conversation')} of yours that belong to a team will be deleted: the team does not keep them, or no other member contributes to them.</p>`
}`

const elsewhere = ({ messagesElsewhere }: Foreseen): Html =>
  messagesElsewhere === 0
    ? html``
    : html`<p>You wrote ${counted(messagesElsewhere, 'message')} in conversations of other people. They stay there, without your name.</p>
${checkboxes({
  name: 'withdraw',
  legend: 'Their text',
  choices: [
    {
      value: 'yes',
      label: 'Take it back: each of them becomes “(withdrawn)”. Claude’s answers stay.',
      isChosen: false,
    },
  ],
})}`
