import { type FormState, field, forgotten, summary } from './form.ts'
import { type Html, html } from './html.ts'
import type { Page } from './layout.ts'

type PasswordPage = {
  csrfField: Html
  username: string
  notice?: Html | undefined
  form: FormState
}

export const passwordPage = ({ csrfField, username, notice, form }: PasswordPage): Page => ({
  title: 'Password',
  layout: '/account/password',
  body: html`<div class="intro"><h1>Change your password</h1>
<p class="soft">This ends every connection, session and access token of yours but this one.</p></div>
${notice}${summary(form)}
<form class="card" method="post" action="/account/password">
${csrfField}
<input type="hidden" name="username" autocomplete="username" value="${username}">
${field({ name: 'current_password', label: 'Current password', type: 'password', autocomplete: 'current-password', maxLength: 256 }, form)}
${field({ name: 'new_password', label: 'New password', type: 'password', autocomplete: 'new-password', minLength: 12, maxLength: 256, hint: '12 to 256 characters, and none that many people use. A few words make a good one.' }, form)}
<button class="start">Change password</button>
</form>
${forgotten}`,
})
