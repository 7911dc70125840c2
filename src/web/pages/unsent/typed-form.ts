/** What was typed into a form that is not taken, so that the page which says why can show it again. */

import type { Request } from 'express'
import { TEXT_AREAS } from '../../kit/form.ts'
import { textField } from '../../kit/forms.ts'
import { isSaidToBeOurs } from '../../session/csrf.ts'

export type TypedForm = {
  /** Where it was sent. */
  path: string
  texts: [name: keyof typeof TEXT_AREAS, text: string][]
  choices: [name: string, value: string][]
}

/** What these forms send besides. Consent to a cost is asked for again. */
const CHOICES = ['message_key', 'model', 'pay_with', 'team', 'amount']

/** Undefined without text, and for a form that another site may have filled in. */
export function typedForm(req: Request): TypedForm | undefined {
  const path = `${req.baseUrl}${req.path}`
  if (!path.startsWith('/account/') || !isSaidToBeOurs(req)) return undefined
  const names = Object.keys(TEXT_AREAS) as (keyof typeof TEXT_AREAS)[]
  const texts = filledIn(req, names)
  return texts.length === 0 ? undefined : { path, texts, choices: filledIn(req, CHOICES) }
}

const filledIn = <N extends string>(req: Request, names: readonly N[]) =>
  names.map((name): [N, string] => [name, textField(req, name)]).filter(([, value]) => value !== '')
