import type { ModelChoices } from '../../../../services/conversations/model-choices.ts'
import { type FormState, select, summary, textArea } from '../../../kit/form.ts'
import { type Html, html } from '../../../kit/html.ts'
import type { Page } from '../../../kit/layout.ts'
import type { Purses } from '../../teams/purses.ts'
import { messageKey } from './message-key.ts'
import { payerSelect } from './payer.ts'

type NewPage = {
  csrfField: Html
  hasKey: boolean
  models: ModelChoices
  /** Teams of the visitor. */
  teams: Purses
  form: FormState
}

export const newPage = ({ csrfField, hasKey, models, teams, form }: NewPage): Page => ({
  title: 'New conversation',
  layout: '/account/conversations',
  body: html`<h1>New conversation</h1>
${!hasKey && html`<p class="notice warn"><span>You have not added an Anthropic key yet. <a href="/account/key">Add one</a> to send messages.</span></p>`}
${summary(form)}
<form class="card" method="post" action="/account/conversations/new">${csrfField}${messageKey()}
${textArea({ name: 'message', rows: 6 }, form)}
${select({ name: 'model', label: 'Model', options: optionsOf(models) }, form.values.model ?? '')}
${textArea({ name: 'system_prompt', hint: 'Instructions for Claude, for the whole conversation.', isOptional: true, rows: 3 }, form)}
${payerSelect({ teams }, form)}
<div class="actions"><button>Send</button><a href="/account/conversations">Back</a></div>
</form>`,
})

function optionsOf({ defaultId, models }: ModelChoices): Record<string, string> {
  const usual = models.find(({ id }) => id === defaultId)?.name ?? defaultId
  return {
    '': `${usual} (this gateway’s default)`,
    ...Object.fromEntries(
      models.filter(({ id }) => id !== defaultId).map(({ id, name }) => [id, name]),
    ),
  }
}
