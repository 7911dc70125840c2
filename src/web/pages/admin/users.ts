import { type Request, type Response, Router } from 'express'
import { z } from 'zod'
import { AppError } from '../../../errors.ts'
import { Email, Username } from '../../../services/access/field-rules.ts'
import type { FormState } from '../../kit/form.ts'
import { attempt, brokenRules, queryText, type Refusal, textField } from '../../kit/forms.ts'
import { notice } from '../../kit/notices.ts'
import { sendPage } from '../../kit/send-page.ts'
import { callerOf, csrfField, type PageContext } from '../../page-context.ts'
import { takesProof } from '../proof/routes.ts'
import { userPage } from './user-view.ts'
import { usersPage } from './users-view.ts'

const USERS_PER_PAGE = 100
const Role = z.enum(['member', 'auditor', 'admin'])
const BESIDE = { username_taken: 'username', email_taken: 'email', invalid_input: 'email' } as const

/** /admin/users: everybody who has an account, and what admins do to accounts. */
export function userRoutes(context: PageContext): Router {
  const { services } = context
  const router = Router()
  const proof = takesProof(context)

  type Shown = { values?: FormState['values']; url?: string }
  const showAll = async (req: Request, res: Response, shown: Shown = {}, refusal?: Refusal) => {
    const after = queryText(req, 'after')
    const page = usersPage({
      ...(await services.userAdministration.list({ after, limit: USERS_PER_PAGE })),
      invitations: await services.accountInvitations.listOpen(),
      isAdmin: callerOf(req).isAdmin,
      csrfField: csrfField(req, res, context),
      notice: notice('/admin/users', req.query.done),
      form: { values: shown.values ?? {}, errors: refusal?.errors ?? {} },
      url: shown.url,
    })
    sendPage(req, res, page, refusal)
  }

  const show = async (req: Request, res: Response, shown: Shown = {}, refusal?: Refusal) => {
    const page = userPage({
      user: await services.userAdministration.get(nameOf(req)),
      isAdmin: callerOf(req).isAdmin,
      csrfField: csrfField(req, res, context),
      notice: notice('/admin/users/:name', req.query.done),
      form: { values: {}, errors: refusal?.errors ?? {} },
      url: shown.url,
    })
    sendPage(req, res, page, refusal)
  }

  router.get('/admin/users', (req, res) => showAll(req, res))
  router.get('/admin/users/:name', (req, res) => show(req, res))

  router.post('/admin/users', ...proof, async (req, res) => {
    const values = {
      username: textField(req, 'username').trim(),
      email: textField(req, 'email').trim(),
    }
    const broken = brokenRules({ username: Username, email: Email }, values)
    if (broken) return showAll(req, res, { values }, broken)
    const add = () => services.userAdministration.addByAdmin(callerOf(req), values)
    const result = await attempt(add, BESIDE)
    if ('refusal' in result) return showAll(req, res, { values }, result.refusal)
    await showAll(req, res, { url: result.done.url })
  })

  router.post('/admin/users/invite', ...proof, async (req, res) => {
    const email = textField(req, 'address').trim()
    const role = roleOf(req)
    const invite = { role, ...(email !== '' && { email }) }
    const make = () => services.accountInvitations.create(callerOf(req), invite)
    const result = await attempt(make, { invalid_input: 'address' })
    if ('refusal' in result) {
      return showAll(req, res, { values: { role, address: email } }, result.refusal)
    }
    await showAll(req, res, { url: result.done.url })
  })

  router.post('/admin/users/invitations/:id/end', ...proof, async (req, res) => {
    const id = z.uuid().safeParse(req.params.id)
    if (!id.success) throw new AppError('not_found', 'There is no such invitation.')
    await services.accountInvitations.revoke(callerOf(req), id.data)
    res.redirect(303, '/admin/users?done=taken-back')
  })

  /** An act on one user, after which their page is shown again. */
  const on = (
    act: string,
    work: (req: Request, name: string) => Promise<unknown>,
    onward = (name: string) => `/admin/users/${encodeURIComponent(name)}?done=saved`,
  ) =>
    router.post(`/admin/users/:name/${act}`, ...proof, async (req, res) => {
      const result = await attempt(() => work(req, nameOf(req)))
      if ('refusal' in result) return show(req, res, {}, result.refusal)
      res.redirect(303, onward(nameOf(req)))
    })

  const { userAdministration } = services
  on('role', (req, name) => userAdministration.setRole(callerOf(req), name, roleOf(req)))
  on('suspend', (req, name) => userAdministration.suspend(callerOf(req), name))
  on('restore', (req, name) => userAdministration.restore(callerOf(req), name))
  on('sign-out', (req, name) => userAdministration.signOut(callerOf(req), name))
  on(
    'delete',
    (req, name) => userAdministration.delete(callerOf(req), name),
    () => '/admin/users?done=deleted',
  )

  router.post('/admin/users/:name/password-link', ...proof, async (req, res) => {
    const make = () => services.passwordLinks.create(callerOf(req), nameOf(req))
    const result = await attempt(make)
    if ('refusal' in result) return show(req, res, {}, result.refusal)
    await show(req, res, { url: result.done.url })
  })

  return router
}

const nameOf = (req: Request): string => String(req.params.name)

function roleOf(req: Request) {
  const role = Role.safeParse(textField(req, 'role'))
  if (!role.success) throw new AppError('invalid_input', 'Choose one of the roles.')
  return role.data
}
