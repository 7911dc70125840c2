/** Form components. An error is shown beside its field and linked to it by aria-describedby. */

import { type Html, html } from './html.ts'

/** By field name; '' is the whole form. */
export type FormErrors = Readonly<Record<string, string>>

/** What a refused form shows again. Never a secret. */
export type FormState = { values: Readonly<Record<string, string>>; errors: FormErrors }

export const EMPTY_FORM: FormState = { values: {}, errors: {} }

export const hidden = (name: string, value: string | undefined) =>
  value === undefined ? html`` : html`<input type="hidden" name="${name}" value="${value}">`

type Field = {
  name: string
  label: string | Html
  type?: 'text' | 'email' | 'password' | 'date'
  hint?: string | Html
  autocomplete: string
  /** Marked as optional in the label. */
  isOptional?: boolean
  minLength?: number
  maxLength?: number
  inputMode?: 'decimal' | 'email'
}

export function field(given: Field, { values, errors }: FormState = EMPTY_FORM): Html {
  const { name, label, type = 'text', hint, autocomplete, isOptional = false } = given
  const id = `field-${name}`
  const error = errors[name]
  const value = type === 'password' ? undefined : values[name]
  return html`<div class="field">
<label for="${id}">${label}${isOptional && html` <span class="soft">(optional)</span>`}</label>
${hint && html`<p class="hint" id="${id}-hint">${hint}</p>`}
<input id="${id}" name="${name}" type="${type}" autocomplete="${autocomplete}"
 autocapitalize="none" spellcheck="false"${[
   !isOptional && html` required`,
   value !== undefined && html` value="${value}"`,
   given.minLength !== undefined && html` minlength="${given.minLength}"`,
   given.maxLength !== undefined && html` maxlength="${given.maxLength}"`,
   given.inputMode && html` inputmode="${given.inputMode}"`,
   describedBy(id, { hint: Boolean(hint), error: error !== undefined }),
 ]}>
${errorText(id, error)}
</div>`
}

/** The labels of all text areas, by name: what was typed into one is never lost. */
export const TEXT_AREAS = {
  message: 'Your message',
  system_prompt: 'System prompt',
  reason: 'What for',
} as const

type TextArea = Pick<Field, 'hint' | 'isOptional'> & { name: keyof typeof TEXT_AREAS; rows: number }

/** A text of several lines. */
export function textArea(
  { name, hint, isOptional = false, rows }: TextArea,
  { values, errors }: FormState = EMPTY_FORM,
): Html {
  const id = `field-${name}`
  const error = errors[name]
  // The line break after the tag is not part of the text (HTML Standard, 13.2.6.4.7).
  return html`<div class="field">
<label for="${id}">${TEXT_AREAS[name]}${isOptional && html` <span class="soft">(optional)</span>`}</label>
${hint && html`<p class="hint" id="${id}-hint">${hint}</p>`}
<textarea id="${id}" name="${name}" rows="${rows}" dir="auto"${[
    !isOptional && html` required`,
    describedBy(id, { hint: Boolean(hint), error: error !== undefined }),
  ]}>
${values[name] ?? ''}</textarea>
${errorText(id, error)}
</div>`
}

/** The form needs `enctype="multipart/form-data"`. */
export function fileField(
  { name, label, hint, accept }: { name: string; label: string; hint: string; accept: string },
  { errors }: FormState = EMPTY_FORM,
): Html {
  const id = `field-${name}`
  const error = errors[name]
  return html`<div class="field"><label for="${id}">${label}</label>
<p class="hint" id="${id}-hint">${hint}</p>
<input id="${id}" name="${name}" type="file" accept="${accept}" required${describedBy(id, { hint: true, error: error !== undefined })}>
${errorText(id, error)}
</div>`
}

/** `of`: what tells it apart where a page has several of one name. */
export function select(
  given: { name: string; label: string; options: Readonly<Record<string, string>>; of?: string },
  chosen: string,
): Html {
  const id = ['field', given.name, given.of].filter(Boolean).join('-')
  const options = Object.entries(given.options).map(
    ([value, text]) =>
      html`<option value="${value}"${value === chosen && html` selected`}>${text}</option>`,
  )
  return html`<div class="field"><label for="${id}">${given.label}</label>
<select id="${id}" name="${given.name}">${options}</select></div>`
}

type Choice = { value: string; label: string; note?: string; isChosen: boolean }

/** A group of checkboxes under one name. */
export function checkboxes(
  { name, legend, choices }: { name: string; legend: string; choices: readonly Choice[] },
  { errors }: FormState = EMPTY_FORM,
): Html {
  const id = `field-${name}`
  const error = errors[name]
  const boxes = choices.map(
    ({ value, label, note, isChosen }, index) => html`<label class="check">
<input type="checkbox" name="${name}" value="${value}"${index === 0 && html` id="${id}"`}${isChosen && html` checked`}>
<span>${label}${note && html`<small class="mono">${note}</small>`}</span></label>`,
  )
  return html`<fieldset${describedBy(id, { hint: false, error: error !== undefined }, 'fieldset')}>
<legend>${legend}</legend>
<div class="checks">${boxes}</div>
${errorText(id, error)}
</fieldset>`
}

/** The gateway sends no email: the operator resets passwords. */
export const forgotten = html`<p class="soft">Forgot your password? Ask the operator of this gateway for a new one. They make it with <code>npm run admin -- user reset-password</code> and your username.</p>`

/** Expands to an explanation and the button that performs the action. */
export const confirmation = (label: string, body: Html): Html =>
  html`<details class="ask"><summary>${label}</summary><div class="card">${body}</div></details>`

/**
 * Lists the errors above the form: announced by screen readers, with a link to each field. It takes
 * the focus, so that users who cannot see it learn that nothing was done.
 */
export function summary({ errors }: FormState): Html {
  const { '': whole, ...fields } = errors
  if (whole === undefined && Object.keys(fields).length === 0) return html``
  const items = Object.entries(fields).map(
    ([name, text]) => html`<li><a href="#field-${name}">${text}</a></li>`,
  )
  return html`<div class="notice bad" role="alert" tabindex="-1" autofocus>
${whole && html`<p>${whole}</p>`}
${items.length > 0 && html`<ul>${items}</ul>`}
</div>`
}

function describedBy(
  id: string,
  { hint, error }: { hint: boolean; error: boolean },
  kind: 'input' | 'fieldset' = 'input',
): Html {
  const ids = [hint && `${id}-hint`, error && `${id}-error`].filter(Boolean).join(' ')
  return html`${ids !== '' && html` aria-describedby="${ids}"`}${error && kind === 'input' && html` aria-invalid="true"`}`
}

const errorText = (id: string, error: string | undefined) =>
  error === undefined ? html`` : html`<p class="error" id="${id}-error">${error}</p>`
