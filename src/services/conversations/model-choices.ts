import { MODELS } from '../../claude/models.ts'

/** What a new conversation may be begun with. Other models can be named in send_message. */
export type ModelChoices = {
  defaultId: string
  models: readonly { id: string; name: string }[]
}

export const modelChoices = (defaultId: string): ModelChoices => ({
  defaultId,
  models: MODELS.filter(({ lifecycle }) => lifecycle === 'active').map(({ id, displayName }) => ({
    id,
    name: displayName,
  })),
})
