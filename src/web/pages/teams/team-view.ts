import type { ShownRequest } from '../../../services/billing/requests/budget-requests.ts'
import type { Services } from '../../../services/index.ts'
import { MAX_INVITATION_DAYS } from '../../../services/teams/invitations.ts'
import { eventsTable } from '../../kit/events.ts'
import { confirmation, type FormState, field, hidden, select, summary } from '../../kit/form.ts'
import { day, fact, minute } from '../../kit/format.ts'
import { type Html, html } from '../../kit/html.ts'
import type { Page, Section } from '../../kit/layout.ts'
import { decidableRequests, ownRequests } from '../requests/rows.ts'
import { defaultPaymentField } from './default-payment.ts'

export const SHARES_FROM = ['members', 'anyone', 'nobody'] as const
export const ON_DEPARTURE = ['keep', 'delete'] as const

type Read = Awaited<ReturnType<Services['teams']['read']>>
type Events = Awaited<ReturnType<Services['teams']['listEventsOfAny' | 'listEvents']>>
type TeamPage = Read & {
  requests: readonly ShownRequest[]
  base: Section
  /** Whether teams may have webhooks. */
  hasWebhooks: boolean
  username: string
  csrfField: Html
  notice: Html | undefined
  form: FormState
  /** Of the invitation that was just made: not shown again. */
  invitationUrl: string | undefined
}

const ROLES = { member: 'member', admin: 'admin', owner: 'owner' }

export function teamPage(page: TeamPage): Page {
  const { base, hasWebhooks } = page
  const isMember = base === '/account/teams'
  const { team, members, invitations, csrfField, notice, form, invitationUrl } = page
  const isInUse = team.archivedAt === null
  const isOwner = team.role === 'owner' && isInUse
  const isManaging = team.role !== 'member' && isInUse
  return {
    title: team.name,
    layout: base,
    body: html`<div class="intro"><h1><bdi>${team.name}</bdi></h1>
<p class="soft">${isMember && html`You are ${team.role} of this team. `}<a href="${base}">All teams</a>${isMember && html` · <a href="/account/teams/${team.id}/money">Money</a> · <a href="${`/account/requests?team=${team.id}`}">Ask for more</a>`}${isMember && team.role !== 'member' && html` · <a href="/account/teams/${team.id}/conversations">Conversations</a>`}${!isMember && html` · <a href="${base}/${team.id}/money">Money</a>`}${isMember && hasWebhooks && team.role === 'owner' && html` · <a href="/account/teams/${team.id}/webhooks">Webhooks</a>`}${(team.role !== 'member' || !isMember) && html` · <a href="${base}/${team.id}/audit">What was done</a>`}</p></div>
${notice}${summary(form)}
${!isInUse && html`<p class="notice warn">This team is archived. Nothing is shared with it any more.</p>`}
${invitationUrl !== undefined && newInvitation(invitationUrl)}
<section class="card" aria-labelledby="members"><h2 id="members">Members</h2>
<ul class="rows">${members.map((member) => memberRow(member, page, isManaging))}</ul></section>
${page.requests.length > 0 && requestsOf(page, isManaging)}
${isManaging && inviting(page, isOwner)}
${isManaging && invitations.length > 0 && openInvitations(page)}
${isOwner && settings(page)}
${isMember && leaving(page, isInUse)}
${isOwner && archiving(`${base}/${team.id}`, csrfField)}`,
  }
}

const requestsOf = (
  { base, team, requests, csrfField, form }: TeamPage,
  isManaging: boolean,
) => html`
<section class="card" aria-labelledby="requests"><h2 id="requests">Requests for a higher limit</h2>
${isManaging ? decidableRequests(requests, `${base}/${team.id}/requests`, csrfField, form) : ownRequests(requests, csrfField)}</section>`

export const teamEventsPage = (read: Events, base: Section): Page => ({
  title: 'What was done',
  layout: base,
  body: html`<div class="intro"><h1>What was done in <bdi>${read.team.name}</bdi></h1>
<p class="soft"><a href="${base}/${read.team.id}">Back to the team</a></p></div>
<section class="card">${eventsTable(read, `${base}/${read.team.id}/audit`)}</section>`,
})

const newInvitation = (
  url: string,
) => html`<section class="notice good" role="status"><p>Give this link to the person you mean, and to no other. It is not shown again.</p>
<code class="copy">${url}</code></section>`

function memberRow(member: Read['members'][number], page: TeamPage, isManaging: boolean): Html {
  const { team, csrfField, username } = page
  const isSelf = member.username === username
  const mayRemove = isManaging && !isSelf && (team.role === 'owner' || member.role === 'member')
  const action = `${page.base}/${team.id}`
  return html`<li><div class="what"><h3><bdi>${member.username}</bdi>
${isSelf && html` <span class="tag good">You</span>`}${member.isSuspended && html` <span class="tag">suspended</span>`}</h3>
<dl class="facts">${fact('Role', member.role)}${fact('Since', day(member.addedAt))}</dl></div>
${isManaging && team.role === 'owner' && confirmation('Role…', html`<form method="post" action="${action}/role">${csrfField}${hidden('username', member.username)}${select({ name: 'role', label: `Role of ${member.username}`, options: ROLES, of: member.userId }, member.role)}<button class="small">Save</button></form>`)}
${mayRemove && confirmation('Remove…', html`<p>They lose what is shared with the team at once.</p><form method="post" action="${action}/remove">${csrfField}${hidden('username', member.username)}<button class="harm small">Remove<span class="hush"> ${member.username}</span></button></form>`)}</li>`
}

const inviting = ({ base, team, csrfField, form }: TeamPage, isOwner: boolean) => html`<section
 class="card" aria-labelledby="invite"><h2 id="invite">Invite a person</h2>
<p class="soft">You get a link, which works once and which you pass on yourself. Unless it is bound to one person, anyone who has it may use it.</p>
<form method="post" action="${base}/${team.id}/invite">${csrfField}
<div class="pair">${select({ name: 'role', label: 'As', options: isOwner ? ROLES : { member: 'member' } }, form.values.role ?? 'member')}
${select({ name: 'days', label: 'Ends after', options: DAYS }, form.values.days ?? '3')}</div>
<div class="pair">${select({ name: 'bound', label: 'For', options: { anybody: 'anyone who has the link', username: 'the user with this username', email: 'a new account with this address' } }, form.values.bound ?? 'anybody')}
${field({ name: 'who', label: 'Username or address', autocomplete: 'off', isOptional: true, maxLength: 254 }, form)}</div>
<button class="start">Make the link</button></form></section>`

const DAYS = Object.fromEntries(
  Array.from({ length: MAX_INVITATION_DAYS }, (_, i) => [
    `${i + 1}`,
    `${i + 1} day${i ? 's' : ''}`,
  ]),
)

const openInvitations = ({ base, team, invitations, csrfField }: TeamPage) => html`<section
 class="card" aria-labelledby="open"><h2 id="open">Open invitations</h2><ul class="rows">
${invitations.map(
  (
    row,
  ) => html`<li><div class="what"><h3>${row.teamRole} · <bdi>${row.usernameKey ?? row.emailKey ?? 'anyone who has the link'}</bdi></h3>
<dl class="facts">${fact('By', html`<bdi>${row.invitedBy ?? 'the operator'}</bdi>`)}${fact('Ends', minute(row.expiresAt))}</dl></div>
<form method="post" action="${base}/${team.id}/invitations/${row.id}/end">${csrfField}<button class="second small">Take back</button></form></li>`,
)}</ul></section>`

const settings = ({
  base,
  team,
  csrfField,
  form,
}: TeamPage) => html`<section class="card" aria-labelledby="settings"><h2 id="settings">Settings</h2>
<form method="post" action="${base}/${team.id}/name">${csrfField}
${field({ name: 'name', label: 'Name', autocomplete: 'off', maxLength: 64 }, { ...form, values: { name: team.name, ...form.values } })}
<button class="start">Rename</button></form>
<form method="post" action="${base}/${team.id}/shares-from">${csrfField}
${select({ name: 'shares_from', label: 'Who may share conversations with the team', options: { members: 'its members', anyone: 'everybody who has an account here', nobody: 'nobody' } }, team.sharesFrom)}
<button class="start">Save</button></form>
<form method="post" action="${base}/${team.id}/on-departure">${csrfField}
${select({ name: 'on_departure', label: 'When a member deletes their account, conversations of theirs that belong to the team', options: { keep: 'pass to the member who has contributed to them for longest', delete: 'are deleted' } }, team.onDeparture)}
<button class="start">Save<span class="hush"> what becomes of them</span></button></form>
<form method="post" action="${base}/${team.id}/payment">${csrfField}${defaultPaymentField(team)}
<button class="start">Save</button></form></section>`

const leaving = (
  { base, team, csrfField }: TeamPage,
  isInUse: boolean,
) => html`<section class="card danger" aria-labelledby="leave"><h2 id="leave">Leave</h2>
${confirmation('Leave the team…', html`<p>${isInUse ? 'You lose what is shared with the team at once.' : 'You see no more of the team.'} Your own conversations stay yours.</p><form method="post" action="${base}/${team.id}/leave">${csrfField}<button class="harm start">Leave</button></form>`)}</section>`

const archiving = (
  path: string,
  csrfField: Html,
) => html`<section class="card danger" aria-labelledby="archive"><h2 id="archive">Archive</h2>
${confirmation('Archive the team…', html`<p>This is for good. What was shared with the team is shared no more, and nothing is paid by it. Its figures and its name stay.</p><form method="post" action="${path}/archive">${csrfField}<button class="harm start">Archive</button></form>`)}</section>`
