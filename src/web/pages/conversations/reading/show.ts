import type { Request, Response } from 'express'
import type { FormState } from '../../../kit/form.ts'
import type { Refusal } from '../../../kit/forms.ts'
import { notice } from '../../../kit/notices.ts'
import { sendPage } from '../../../kit/send-page.ts'
import { callerOf, csrfField, type PageContext } from '../../../page-context.ts'
import { pursesOf } from '../../teams/purses.ts'
import { conversationIdOf } from '../conversation-id.ts'
import { readingPage } from './view.ts'

const PAGE_MESSAGES = 50
const REFRESH_SECONDS = 3

type Wanted = {
  form: FormState
  /** Messages before this one. */
  before?: string | undefined
  /** Messages to the end of the turn of this one. Without both, the newest. */
  through?: string | undefined
}

/** Sends the page of a conversation, also after one of its forms was refused. */
export const showConversation =
  (context: PageContext) =>
  async (req: Request, res: Response, wanted: Wanted, refusal?: Refusal): Promise<void> => {
    const { services } = context
    const caller = callerOf(req)
    const id = conversationIdOf(req)
    const { form, before, through } = wanted
    const isNewest = before === undefined && through === undefined
    const head = await services.conversationHeads.get(caller, id)
    const history = await services.conversations.history(caller, id, {
      limit: PAGE_MESSAGES,
      before,
      through,
    })
    // What is being typed would be lost: while an answer runs there is no form.
    const isWaiting =
      head.runningMessageId !== null && isNewest && form.values.message === undefined
    if (isWaiting) res.setHeader('Refresh', String(REFRESH_SECONDS))
    const page = await readingPage({
      csrfField: csrfField(req, res, context),
      notice: notice('/account/conversations/:id', req.query.done),
      head,
      history,
      reader: caller.username,
      isSharingOn: context.isSharingOn,
      teams: head.role === 'viewer' ? [] : await pursesOf(services, caller),
      isNewest,
      form,
    })
    sendPage(req, res, page, refusal)
  }
