import { Router } from 'express'
import type { PageContext } from '../../page-context.ts'
import { changeRoutes } from './changing/routes.ts'
import { deletionRoutes } from './deletion/routes.ts'
import { exportRoutes } from './export/routes.ts'
import { listRoutes } from './list/routes.ts'
import { readingRoutes } from './reading/routes.ts'
import { searchRoutes } from './search/routes.ts'
import { editRoutes } from './sending/edit.ts'
import { newConversationRoutes } from './sending/new.ts'

/** /account/conversations: find, read, begin, continue, change and delete conversations. */
export function conversationRoutes(context: PageContext): Router {
  const router = Router()
  router.use(listRoutes(context))
  // Before the addresses of single ones.
  router.use(searchRoutes(context))
  router.use(newConversationRoutes(context))
  router.use(readingRoutes(context))
  router.use(editRoutes(context))
  router.use(changeRoutes(context))
  router.use(deletionRoutes(context))
  router.use(exportRoutes(context))
  return router
}
