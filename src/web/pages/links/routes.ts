import { type Request, type Response, Router } from 'express'
import { z } from 'zod'
import { AppError } from '../../../errors.ts'
import {
  type LinkReaders,
  MAX_LABEL_LENGTH,
  type MadeLink,
} from '../../../services/conversations/sharing/links.ts'
import { EMPTY_FORM, type FormState } from '../../kit/form.ts'
import {
  attempt,
  brokenRules,
  positionOf,
  queryText,
  type Refusal,
  textField,
} from '../../kit/forms.ts'
import { notice } from '../../kit/notices.ts'
import { sendPage } from '../../kit/send-page.ts'
import { callerOf, csrfField, type PageContext } from '../../page-context.ts'
import { takesProof } from '../proof/routes.ts'
import { optionalDays } from '../shares/days.ts'
import { ofTeam, teamsOf } from '../shares/teams.ts'
import { previewPage, type Wanted } from './preview-view.ts'
import { linksPage, madeLinkPage } from './view.ts'

const MADE = { status: 201 }
const BESIDE = { invalid_input: 'ends_after' } as const

/** /account/links: the visitor's links to their conversations. Public ones are made here only. */
export function linkRoutes(context: PageContext): Router {
  const { services } = context
  const router = Router()

  const rulesOf = (readers: LinkReaders) => ({
    ends_after: optionalDays(services.links.maxDays(readers)),
    note: z.string().max(MAX_LABEL_LENGTH),
  })

  const showList = async (
    req: Request,
    res: Response,
    conversationId: string | undefined,
    form: FormState = EMPTY_FORM,
    refusal?: Refusal,
  ) => {
    const caller = callerOf(req)
    const { conversationHeads, links } = services
    const page = linksPage({
      csrfField: csrfField(req, res, context),
      notice: notice('/account/links', req.query.done),
      links: await links.list(caller, conversationId),
      conversation:
        conversationId === undefined ? null : await conversationHeads.get(caller, conversationId),
      mode: links.mode,
      teams: await teamsOf(services, caller),
      form: { ...form, errors: refusal?.errors ?? {} },
    })
    sendPage(req, res, page, refusal)
  }

  const showPreview = async (
    req: Request,
    res: Response,
    wanted: Wanted,
    form: FormState = EMPTY_FORM,
    refusal?: Refusal,
  ) => {
    const given = wanted.through ?? positionOf(req, 'through')
    const options = { after: positionOf(req, 'after'), through: given }
    const preview = await services.snapshots.preview(callerOf(req), wanted.conversationId, options)
    const page = await previewPage({
      csrfField: csrfField(req, res, context),
      wanted,
      preview,
      maxDays: services.links.maxDays(wanted.readers),
      form: { ...form, errors: refusal?.errors ?? {} },
    })
    sendPage(req, res, page, refusal)
  }

  const make = async (req: Request, readers: LinkReaders, through?: number) => {
    const values = {
      ends_after: textField(req, 'ends_after').trim(),
      note: textField(req, 'note').trim(),
      link_team: textField(req, 'link_team'),
    }
    const broken = brokenRules(rulesOf(readers), values)
    if (broken) return { values, refusal: broken }
    const wanted = {
      conversationId: idOf(textField(req, 'conversation')),
      readers,
      team: values.link_team === '' ? undefined : values.link_team,
      expiresInDays: values.ends_after === '' ? undefined : Number(values.ends_after),
      label: values.note,
      through,
    }
    const making = () => services.links.make(callerOf(req), wanted)
    const result = await attempt(making, BESIDE).catch((error) => ofTeam(error, 'link_team'))
    return { values, ...result }
  }

  const sendMade = (req: Request, res: Response, made: MadeLink) =>
    sendPage(req, res, madeLinkPage(made), MADE)

  router.get('/account/links', async (req, res) => {
    const asked = queryText(req, 'conversation')
    await showList(req, res, asked === '' ? undefined : idOf(asked))
  })

  router.post('/account/links', async (req, res) => {
    const conversationId = idOf(textField(req, 'conversation'))
    const result = await make(req, 'signed-in')
    if ('done' in result) return sendMade(req, res, result.done)
    const form = { values: result.values, errors: {} }
    await showList(req, res, conversationId, form, result.refusal)
  })

  router.get('/account/links/public', async (req, res) => {
    if (services.links.mode !== 'public') throw noSuchLink()
    const conversationId = idOf(queryText(req, 'conversation'))
    await showPreview(req, res, { readers: 'public', conversationId })
  })

  router.post('/account/links/public', ...takesProof(context), async (req, res) => {
    const conversationId = idOf(textField(req, 'conversation'))
    const through = seenThrough(req)
    const result = await make(req, 'public', through)
    if ('done' in result) return sendMade(req, res, result.done)
    const form = { values: result.values, errors: {} }
    await showPreview(
      req,
      res,
      { readers: 'public', conversationId, through },
      form,
      result.refusal,
    )
  })

  router.get('/account/links/:id/update', async (req, res) => {
    const { id, readers, conversationId } = await services.links.get(
      callerOf(req),
      idOf(req.params.id),
    )
    await showPreview(req, res, { id, readers, conversationId })
  })

  router.post('/account/links/:id/update', ...takesProof(context), async (req, res) => {
    await services.links.moveOn(callerOf(req), idOf(req.params.id), seenThrough(req))
    res.redirect(303, '/account/links?done=updated')
  })

  router.post('/account/links/:id/end', async (req, res) => {
    await services.sharing.end(callerOf(req), idOf(req.params.id))
    res.redirect(303, '/account/links?done=ended')
  })

  router.post('/account/links/end', async (req, res) => {
    await services.links.endAll(callerOf(req))
    res.redirect(303, '/account/links?done=all-ended')
  })

  return router
}

/** The last message of the text that the visitor was shown: what came since is not published. */
function seenThrough(req: Request): number {
  const through = z.coerce.number().int().min(2).safeParse(textField(req, 'through'))
  if (!through.success) throw new AppError('invalid_input', 'The form does not say what was seen.')
  return through.data
}

function idOf(text: unknown): string {
  const id = z.uuid().safeParse(text)
  if (!id.success) throw noSuchLink()
  return id.data
}

const noSuchLink = () => new AppError('not_found', 'There is no such link. It may have ended.')
