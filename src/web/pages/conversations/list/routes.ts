import { Router } from 'express'
import { queryText } from '../../../kit/forms.ts'
import { notice } from '../../../kit/notices.ts'
import { sendPage } from '../../../kit/send-page.ts'
import { callerOf, type PageContext } from '../../../page-context.ts'
import { filterOf } from './filters.ts'
import { listPage } from './view.ts'

const PAGE_SIZE = 30

/** GET /account/conversations: the visitor's and those shared with them, newest activity first. */
export function listRoutes({ services, isSharingOn }: PageContext): Router {
  const router = Router()

  router.get('/account/conversations', async (req, res) => {
    const cursor = queryText(req, 'cursor')
    const filter = filterOf(queryText(req, 'filter'), isSharingOn)
    const page = await services.conversations.list(callerOf(req), {
      filter,
      limit: PAGE_SIZE,
      offset: 0,
      ...(cursor === '' ? {} : { cursor }),
    })
    const done = notice('/account/conversations', req.query.done)
    sendPage(req, res, listPage({ ...page, filter, isSharingOn, notice: done }))
  })

  return router
}
