import { type FormState, field, forgotten, hidden, summary } from '../../kit/form.ts'
import { type Html, html } from '../../kit/html.ts'
import type { Page } from '../../kit/layout.ts'

export const HELD_FIELD = 'held'
export const PROOF_FIELD = 'your_password'

type ProofPage = {
  csrfField: Html
  username: string
  /** Where the held form was sent, and the form itself, encrypted. */
  path: string
  held: string
  form: FormState
}

/** Asks for the password again, and sends the held form along with it. */
export function proofPage({ csrfField, username, path, held, form }: ProofPage): Page {
  const { act, back } = actAt(path)
  return {
    title: 'Confirm that it is you',
    body: html`<div class="intro"><h1>Confirm that it is you</h1>
<p class="soft">Give your password again to ${act}. What you have entered is kept, and for 10 minutes you are not asked again.</p></div>
${summary(form)}
<form class="card" method="post" action="${path}">
${csrfField}${hidden(HELD_FIELD, held)}
<input type="hidden" name="username" autocomplete="username" value="${username}">
${field({ name: PROOF_FIELD, label: 'Your password', type: 'password', autocomplete: 'current-password', maxLength: 256 }, form)}
<div class="actions"><button>Go on</button><a href="${back}">Back</a></div>
</form>
${forgotten}`,
  }
}

function actAt(path: string): { act: string; back: string } {
  if (path === '/account/tokens') return { act: 'make an access token', back: path }
  if (path === '/account/key') return { act: 'store an Anthropic key', back: path }
  const team = /^\/account\/teams\/[0-9a-f-]{36}(?=\/)/.exec(path)
  if (team) return { act: 'change the team', back: team[0] }
  const admin = /^\/admin\/(?:users|teams)(?:\/[^/]+)?/.exec(path)
  if (admin) return { act: 'act on others', back: admin[0] }
  if (path === '/account/export') return { act: 'download your data', back: '/account/data' }
  if (path === '/account/links/public') return { act: 'make a public link', back: '/account/links' }
  if (path.startsWith('/account/links/')) {
    return { act: 'show more by a public link', back: '/account/links' }
  }
  return { act: 'let an app change your account', back: path }
}
