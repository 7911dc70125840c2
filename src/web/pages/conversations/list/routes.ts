import { Router } from 'express'
import type { Caller } from '../../../../services/access/caller.ts'
import { queryText, unlessOfCursor } from '../../../kit/forms.ts'
import { notice } from '../../../kit/notices.ts'
import { sendPage } from '../../../kit/send-page.ts'
import { callerOf, type PageContext } from '../../../page-context.ts'
import { type Filter, filterOf, listPath } from './filters.ts'
import { listPage } from './view.ts'

const PAGE_SIZE = 30

/** GET /account/conversations: the visitor's and those shared with them, newest activity first. */
export function listRoutes({ services, isSharingOn }: PageContext): Router {
  const router = Router()

  router.get('/account/conversations', async (req, res) => {
    const cursor = queryText(req, 'cursor')
    const filter = filterOf(queryText(req, 'filter'), isSharingOn)
    const page = await found(callerOf(req), filter, cursor)
    if (page === undefined) return res.redirect(303, listPath(filter))
    const done = notice('/account/conversations', req.query.done)
    sendPage(req, res, listPage({ ...page, filter, isSharingOn, notice: done }))
  })

  /** Undefined for an address that leads to no page of the list, as after it was cut in copying. */
  const found = async (caller: Caller, filter: Filter, cursor: string) => {
    const wanted = { filter, limit: PAGE_SIZE, offset: 0 }
    const from = cursor === '' ? {} : { cursor }
    return services.conversations.list(caller, { ...wanted, ...from }).catch(unlessOfCursor)
  }

  return router
}
