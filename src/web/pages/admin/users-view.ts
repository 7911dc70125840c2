import type { Services } from '../../../services/index.ts'
import { type FormState, field, select, summary } from '../../kit/form.ts'
import { day, fact, minute } from '../../kit/format.ts'
import { type Html, html } from '../../kit/html.ts'
import type { Page } from '../../kit/layout.ts'

type Listed = Awaited<ReturnType<Services['userAdministration']['list']>>
type Invitations = Awaited<ReturnType<Services['accountInvitations']['listOpen']>>

type UsersPage = Listed & {
  invitations: Invitations
  isAdmin: boolean
  csrfField: Html
  notice: Html | undefined
  form: FormState
  /** Of a link that was just made: not shown again. */
  url: string | undefined
}

export const ROLES = {
  member: 'nothing more than everybody',
  auditor: 'see figures and the audit log',
  admin: 'act on users and teams, too',
}

export const usersPage = (page: UsersPage): Page => ({
  title: 'Users',
  layout: '/admin/users',
  body: html`<div class="intro"><h1>Users</h1></div>
${page.notice}${summary(page.form)}${page.url !== undefined && newLink(page.url)}
<section class="card"><ul class="rows">${page.users.map(row)}</ul>
${page.next !== undefined && html`<p><a href="${`/admin/users?after=${encodeURIComponent(page.next)}`}">More</a></p>`}</section>
${page.isAdmin && adding(page)}
${page.isAdmin && page.invitations.length > 0 && openInvitations(page)}`,
})

/** The link is not shown again. */
export const newLink = (
  url: string,
) => html`<section class="notice good" role="status"><p>Give this link to the person you mean, and to no other. It is not shown again.</p>
<code class="copy">${url}</code></section>`

const row = (user: Listed['users'][number]) => html`<li><div class="what">
<h3><a href="${`/admin/users/${encodeURIComponent(user.username)}`}"><bdi>${user.username}</bdi></a>
${user.role !== 'member' && html` <span class="tag good">${user.role}</span>`}${user.suspendedAt !== null && html` <span class="tag">suspended</span>`}</h3>
<dl class="facts">${fact('Email', html`<bdi>${user.email}</bdi>`)}${fact('Since', day(user.createdAt))}
${fact('Anthropic key', user.hasKey ? 'yes' : 'no')}${fact('Last use', user.lastUsedAt ? minute(user.lastUsedAt) : 'never')}</dl></div></li>`

const adding = ({
  csrfField,
  form,
}: UsersPage) => html`<section class="card" aria-labelledby="add"><h2 id="add">Add a user</h2>
<p class="soft">You get a link, by which they choose a password.</p>
<form method="post" action="/admin/users">${csrfField}<div class="pair">
${field({ name: 'username', label: 'Username', autocomplete: 'off', maxLength: 64 }, form)}
${field({ name: 'email', label: 'Email', autocomplete: 'off', maxLength: 254 }, form)}</div>
<button class="start">Add</button></form></section>
<section class="card" aria-labelledby="invite"><h2 id="invite">Invite a person</h2>
<p class="soft">You get a link, good for 3 days and one use, with which they make an account, also while registration is closed.</p>
<form method="post" action="/admin/users/invite">${csrfField}<div class="pair">
${select({ name: 'role', label: 'They may', options: ROLES }, form.values.role ?? 'member')}
${field({ name: 'address', label: 'Only with this email address', autocomplete: 'off', isOptional: true, maxLength: 254 }, form)}</div>
<button class="start">Make the link</button></form></section>`

const openInvitations = ({
  invitations,
  csrfField,
}: UsersPage) => html`<section class="card" aria-labelledby="open"><h2 id="open">Open invitations</h2><ul class="rows">
${invitations.map(
  (
    invitation,
  ) => html`<li><div class="what"><h3>${invitation.installationRole} · <bdi>${invitation.usernameKey ?? invitation.emailKey ?? 'anyone who has the link'}</bdi></h3>
<dl class="facts">${fact('By', html`<bdi>${invitation.invitedBy ?? 'the operator'}</bdi>`)}${fact('Ends', minute(invitation.expiresAt))}</dl></div>
<form method="post" action="/admin/users/invitations/${invitation.id}/end">${csrfField}<button class="second small">Take back</button></form></li>`,
)}</ul></section>`
