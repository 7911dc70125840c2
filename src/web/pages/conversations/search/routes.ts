import { type Request, Router } from 'express'
import { SEARCH_IN, type SearchIn } from '../../../../services/conversations/search/candidates.ts'
import { attempt, queryText, refused } from '../../../kit/forms.ts'
import { sendPage } from '../../../kit/send-page.ts'
import { callerOf, type PageContext } from '../../../page-context.ts'
import { MOST_CHARACTERS } from './form.ts'
import { searchPage } from './view.ts'

const HITS_A_PAGE = 20

/** GET /account/conversations/search: what the visitor may read and has the words. */
export function searchRoutes({ services, limiters, isSharingOn }: PageContext): Router {
  const router = Router()

  router.get('/account/conversations/search', ...limiters.searches, async (req, res) => {
    const query = queryText(req, 'query').trim()
    const searched = searchedIn(req)
    const asked = { query: query.slice(0, MOST_CHARACTERS), searched, isSharingOn }
    if (query === '') return sendPage(req, res, searchPage({ ...asked, result: null }))
    const result = await find(req, { query, searched })
    if ('done' in result) return sendPage(req, res, searchPage({ ...asked, result: result.done }))
    const { refusal } = result
    const error = Object.values(refusal.errors)[0]
    sendPage(req, res, searchPage({ ...asked, result: null, error }), refusal)
  })

  const find = async (req: Request, { query, searched }: { query: string; searched: SearchIn }) => {
    if (query.length > MOST_CHARACTERS) {
      return { refusal: refused({ query: `Search for at most ${MOST_CHARACTERS} characters.` }) }
    }
    services.memory.refuseWhenShort()
    const cursor = queryText(req, 'cursor')
    const wanted = { query, searched, limit: HITS_A_PAGE, cursor: cursor || undefined }
    return attempt(() => services.search.search(callerOf(req), wanted))
  }

  return router
}

const searchedIn = (req: Request): SearchIn =>
  SEARCH_IN.find((name) => name === queryText(req, 'in')) ?? 'all'
