import { type Request, type Response, Router } from 'express'
import { closedSignal } from '../../../http/closed-signal.ts'
import { IMPORT_PATH } from '../../../http/routes/import.ts'
import { branchesOf, grownOf } from '../../../services/imports/imports.ts'
import { attempt, type Refusal, textField } from '../../kit/forms.ts'
import { sendPage } from '../../kit/send-page.ts'
import { callerOf, csrfField, type PageContext } from '../../page-context.ts'
import { uploadedFile } from './uploaded-file.ts'
import { importedPage, importPage } from './view.ts'

/** /account/import: conversations from other services. Scripts PUT to the same address. */
export function importPageRoutes(context: PageContext): Router {
  const { services, origins } = context
  const router = Router()

  const show = (req: Request, res: Response, refusal?: Refusal) => {
    const page = importPage({
      csrfField: csrfField(req, res, context),
      maxMib: services.imports.maxMib,
      url: `${origins.askedBy(req)}${IMPORT_PATH}`,
      form: { values: choicesIn(req), errors: refusal?.errors ?? {} },
    })
    sendPage(req, res, page, refusal)
  }

  router.get(IMPORT_PATH, (req, res) => show(req, res))

  router.post(IMPORT_PATH, async (req, res) => {
    const file = uploadedFile(req)
    const work = () => {
      const { grown, branches } = choicesIn(req)
      const wanted = {
        grown: grownOf(grown || undefined),
        branches: branchesOf(branches || undefined),
      }
      return services.imports.run(callerOf(req), file, closedSignal(res), wanted)
    }
    const result = await attempt(work)
    if ('refusal' in result) return show(req, res, result.refusal)
    sendPage(req, res, importedPage(result.done))
  })

  return router
}

/** '' for what was not chosen. */
const choicesIn = (req: Request) => ({
  grown: textField(req, 'grown'),
  branches: textField(req, 'branches'),
})
