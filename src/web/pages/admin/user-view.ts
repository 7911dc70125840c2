import type { Services } from '../../../services/index.ts'
import { confirmation, type FormState, select, summary } from '../../kit/form.ts'
import { day, fact, minute } from '../../kit/format.ts'
import { type Html, html } from '../../kit/html.ts'
import type { Page } from '../../kit/layout.ts'
import { newLink, ROLES } from './users-view.ts'

type User = Awaited<ReturnType<Services['userAdministration']['get']>>
type UserPage = {
  user: User
  isAdmin: boolean
  csrfField: Html
  notice: Html | undefined
  form: FormState
  /** Of a link that was just made: not shown again. */
  url: string | undefined
}

export function userPage(page: UserPage): Page {
  const { user, isAdmin, notice, form, url } = page
  return {
    title: user.username,
    layout: '/admin/users',
    body: html`<div class="intro"><h1><bdi>${user.username}</bdi></h1>
<p class="soft"><a href="/admin/users">All users</a> · <a href="/admin/users/${encodeURIComponent(user.username)}/budget">Budget</a></p></div>
${notice}${summary(form)}${url !== undefined && newLink(url)}
<section class="card"><dl class="facts">
${fact('Email', html`<bdi>${user.email}</bdi>`)}${fact('Since', day(user.createdAt))}
${fact('Role', user.isListed ? 'admin, by ADMIN_USERNAMES' : user.role)}
${user.suspendedAt !== null && fact('Suspended since', minute(user.suspendedAt))}</dl></section>
${isAdmin && !user.isListed && acts(page)}`,
  }
}

function acts({ user, csrfField }: UserPage): Html {
  const path = `/admin/users/${encodeURIComponent(user.username)}`
  const button = (act: string, label: string, note: string, isHarm = false) =>
    confirmation(
      `${label}…`,
      html`<p>${note}</p><form method="post" action="${path}/${act}">${csrfField}<button class="${isHarm ? 'harm' : 'second'} start">${label}</button></form>`,
    )
  return html`<section class="card" aria-labelledby="role"><h2 id="role">Role in the installation</h2>
<form method="post" action="${path}/role">${csrfField}${select({ name: 'role', label: 'May', options: ROLES }, user.role)}<button class="start">Save</button></form></section>
<section class="card danger" aria-labelledby="acts"><h2 id="acts">Account</h2>
${button('password-link', 'Link to choose a password', 'You get a link for this user, good for a day and one use. The first to open it can take the account over: give it to this user only.')}
${button('sign-out', 'Sign out everywhere', 'Ends every session, connection and token.', true)}
${user.suspendedAt === null ? button('suspend', 'Suspend', 'Ends everything that is signed in, stops running answers, and keeps the user out. Nothing is deleted.', true) : button('restore', 'Let in again', 'The user may sign in again. What ended stays ended.')}
${button('delete', 'Delete', 'Erases the account and its conversations for good. What was billed stays.', true)}</section>`
}
