import { checkboxes, type FormState } from '../../../kit/form.ts'
import { type Html, html } from '../../../kit/html.ts'
import { COST_FIELD } from './send.ts'

/** Shown once the gateway has asked for it: for a long history in another user's conversation. */
export function costBox(form: FormState): Html {
  if (form.errors[COST_FIELD] === undefined) return html``
  const label = 'I pay for the whole history.'
  const choices = [{ value: 'yes', label, isChosen: false }]
  return checkboxes({ name: COST_FIELD, legend: 'Cost', choices }, form)
}
