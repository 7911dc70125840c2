import { hidden, textArea } from '../../kit/form.ts'
import { type Html, html } from '../../kit/html.ts'
import type { Page } from '../../kit/layout.ts'
import type { TypedForm } from './typed-form.ts'

/** A form with what was typed, to be copied or sent again. */
export const unsentForm = (form: TypedForm, csrfField: Html | null, button = 'Send again'): Html =>
  html`<form class="card" method="post" action="${form.path}">${csrfField}
${form.choices.map(([name, value]) => hidden(name, value))}
${form.texts.map(typedText)}
<button class="start">${button}</button></form>`

const typedText = ([name, text]: TypedForm['texts'][number]) =>
  textArea(
    { name, rows: 8, isOptional: name === 'system_prompt' },
    { values: { [name]: text }, errors: {} },
  )

/**
 * Its form has no CSRF token, which would be of no use in the session to come: it leads to a page
 * that has one.
 */
export const sessionEndedPage = (form: TypedForm, signIn: string): Page => ({
  title: 'Your session has ended',
  body: html`<div class="intro"><h1>Your session has ended</h1>
<p>What you typed is here. <a href="${signIn}" target="_blank">Sign in in a new tab</a>, then come back to this one and go on.</p></div>
${unsentForm(form, null, 'Go on')}`,
})
