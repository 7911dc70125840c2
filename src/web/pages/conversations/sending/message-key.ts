import { randomUUID } from 'node:crypto'
import { hidden } from '../../../kit/form.ts'
import type { Html } from '../../../kit/html.ts'

export const MESSAGE_KEY_FIELD = 'message_key'

/** Makes sure that a form which is sent twice, by a double click or a reload, is answered once. */
export const messageKey = (): Html => hidden(MESSAGE_KEY_FIELD, randomUUID())
