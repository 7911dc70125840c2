import { type FormState, field, hidden, summary } from '../../kit/form.ts'
import { type Html, html } from '../../kit/html.ts'
import type { Page } from '../../kit/layout.ts'

type ResetPage = { username: string; link: string; csrfField: Html; form: FormState }

export const resetPage = ({ username, link, csrfField, form }: ResetPage): Page => ({
  title: 'Choose a password',
  body: html`<div class="intro"><h1>Choose a password</h1>
<p class="soft">For <bdi>${username}</bdi>. Everything that is signed in as this user ends.</p></div>
${summary(form)}
<form class="card" method="post" action="/reset">${csrfField}${hidden('link', link)}
<input type="hidden" name="username" autocomplete="username" value="${username}">
${field({ name: 'password', label: 'New password', type: 'password', autocomplete: 'new-password', minLength: 12, maxLength: 256, hint: '12 to 256 characters, and none that many people use. A few words make a good one.' }, form)}
<button>Save</button></form>`,
})

export const unusableLinkPage: Page = {
  title: 'This link cannot be used',
  body: html`<div class="intro"><h1>This link cannot be used</h1>
<p class="soft">It was used already, or has ended. Ask an admin for a new one.</p></div>`,
}
