import { type Request, Router } from 'express'
import { sendFile } from '../../../../http/send-file.ts'
import type { ExportFormat } from '../../../../services/conversations/exports/conversation-export.ts'
import { queryText } from '../../../kit/forms.ts'
import { callerOf, type PageContext } from '../../../page-context.ts'
import { conversationIdOf } from '../conversation-id.ts'
import { fileName } from './file-name.ts'

const FILES: Record<ExportFormat, { ending: string; type: string }> = {
  markdown: { ending: 'md', type: 'text/markdown; charset=utf-8' },
  json: { ending: 'json', type: 'application/json; charset=utf-8' },
}

/** GET /account/conversations/:id/export: the conversation as a file. */
export function exportRoutes({ services }: PageContext): Router {
  const router = Router()

  router.get('/account/conversations/:id/export', async (req, res) => {
    const caller = callerOf(req)
    const id = conversationIdOf(req)
    const format = formatOf(req)
    const { title } = await services.conversationHeads.get(caller, id)
    const { ending, type } = FILES[format]
    const name = fileName(title, id, ending)
    await sendFile(res, services.conversationExport.stream(caller, id, format), { type, name })
  })

  return router
}

const formatOf = (req: Request): ExportFormat =>
  queryText(req, 'format') === 'json' ? 'json' : 'markdown'
