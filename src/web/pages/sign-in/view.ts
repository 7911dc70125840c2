import { type FormState, field, forgotten, hidden, summary } from '../../kit/form.ts'
import { type Html, html } from '../../kit/html.ts'
import type { Page } from '../../kit/layout.ts'

/** What the sign-in and sign-up pages show and send. */
export type Entrance = {
  csrfField: Html
  /** Where to continue; a path on this site. */
  returnTo: string | undefined
  registrationOpen: boolean
  /** The secret of an invitation that can be used: it opens registration. */
  invitation?: string | undefined
  notice?: Html | undefined
}

export function signInPage(entrance: Entrance, form: FormState): Page {
  const { csrfField, returnTo, registrationOpen, notice } = entrance
  return {
    title: 'Sign in',
    body: html`${notice}
<div class="intro"><h1>Sign in</h1>${onward(returnTo)}</div>
${summary(form)}
<form class="card" method="post" action="/sign-in">
${csrfField}${hidden('return_to', returnTo)}
${field({ name: 'username', label: 'Username', autocomplete: 'username', maxLength: 64 }, form)}
${field(
  {
    name: 'password',
    label: 'Password',
    type: 'password',
    autocomplete: 'current-password',
    maxLength: 256,
  },
  form,
)}
<button>Sign in</button>
</form>
${forgotten}
${registrationOpen && html`<p>New here? <a href="${withReturn('/sign-up', returnTo)}">Create an account</a></p>`}`,
  }
}

export function signUpPage(entrance: Entrance, form: FormState): Page {
  const { registrationOpen, invitation } = entrance
  const isOpen = registrationOpen || invitation !== undefined
  const { returnTo } = entrance
  return {
    title: 'Create an account',
    body: html`<div class="intro"><h1>Create an account</h1>${onward(returnTo)}</div>
${summary(form)}
${isOpen ? signUpForm(entrance, form) : html`<p class="notice warn">Registration is closed. Ask the operator of this gateway for an account.</p>`}
<p>Have an account? <a href="${withReturn('/sign-in', returnTo)}">Sign in</a></p>`,
  }
}

const signUpForm = ({ csrfField, returnTo, invitation }: Entrance, form: FormState) => html`
<form class="card" method="post" action="/sign-up">
${csrfField}${hidden('return_to', returnTo)}${hidden('invitation', invitation)}
${field(
  {
    name: 'username',
    label: 'Username',
    autocomplete: 'username',
    minLength: 3,
    maxLength: 64,
    hint: '3 to 64 characters: letters, digits, . _ -',
  },
  form,
)}
${field(
  {
    name: 'email',
    label: 'Email',
    type: 'email',
    autocomplete: 'email',
    inputMode: 'email',
    maxLength: 254,
  },
  form,
)}
${field(
  {
    name: 'password',
    label: 'Password',
    type: 'password',
    autocomplete: 'new-password',
    minLength: 12,
    maxLength: 256,
    hint: '12 to 256 characters, and none that many people use. A few words make a good one.',
  },
  form,
)}
<button>Create account</button>
</form>`

/** Explains why a client sent the visitor here. */
const onward = (returnTo: string | undefined) =>
  returnTo?.startsWith('/connect/') &&
  html`<p class="soft">An app would like to connect. You will see what it asks for next.</p>`

const withReturn = (path: string, returnTo: string | undefined) =>
  returnTo === undefined ? path : `${path}?return_to=${encodeURIComponent(returnTo)}`
