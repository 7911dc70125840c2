import type { ConversationHead } from '../../../services/conversations/conversation-heads.ts'
import type { LinksMode } from '../../../services/conversations/sharing/links.ts'
import type { ListedShare, NewShare } from '../../../services/conversations/sharing/sharing.ts'
import { confirmation, type FormState, field, hidden, select, summary } from '../../kit/form.ts'
import { day, fact } from '../../kit/format.ts'
import { type Html, html } from '../../kit/html.ts'
import type { Page } from '../../kit/layout.ts'
import { hideForm } from '../conversations/changing/view.ts'
import { shownTitle } from '../conversations/shown-title.ts'
import { newLink } from '../links/view.ts'

export const SHARES_FROM = ['anyone', 'teammates', 'nobody'] as const

type SharesPage = {
  csrfField: Html
  notice: Html | undefined
  given: readonly ListedShare[]
  received: readonly ListedShare[]
  linksMode: LinksMode
  sharesFrom: string
  /** Of the visitor's, in use. */
  teams: readonly { id: string; name: string }[]
  /** The one that the form is about. */
  conversation: ConversationHead | null
  form: FormState
}

export function sharesPage(page: SharesPage): Page {
  const { csrfField, notice, given, received, linksMode, sharesFrom, conversation, form } = page
  const pending = received.filter(({ state }) => state === 'pending')
  const accepted = received.filter(({ state }) => state !== 'pending')
  return {
    title: 'Shares',
    layout: '/account/conversations',
    body: html`<div class="intro"><h1>Shares</h1>
<p class="soft"><a href="/account/conversations">Conversations</a> that you give others access to, and theirs that you may read.${linksMode !== 'off' && html` <a href="/account/links">Your links</a> show some to others.`}</p></div>
${notice}${summary(form)}
${conversation?.role === 'owner' && newShare(conversation, csrfField, form, page.teams)}
${conversation?.role === 'owner' && linksMode !== 'off' && newLink({ conversation, mode: linksMode, teams: page.teams, csrfField })}
${pending.length > 0 && rows('offers', 'Offered to you', pending, (row) => offer(row, csrfField))}
${rows('given', 'You share', given, (row) => givenRow(row, csrfField))}
${rows('received', 'Shared with you', accepted, (row) => receivedRow(row, csrfField))}
<section class="card" aria-labelledby="from"><h2 id="from">Who may offer you conversations</h2>
<form method="post" action="/account/shares/from">${csrfField}
${select({ name: 'shares_from', label: 'Accept offers of', options: { anyone: 'everybody who has an account here', teammates: 'people who are in a team with you', nobody: 'nobody' } }, sharesFrom)}
<button class="start">Save</button></form></section>`,
  }
}

const newShare = (
  { id, title }: ConversationHead,
  csrfField: Html,
  form: FormState,
  teams: SharesPage['teams'],
) => html`<section
 class="card" aria-labelledby="new"><h2 id="new">Share <bdi>${shownTitle(title)}</bdi></h2>
<form method="post" action="/account/shares">${csrfField}${hidden('conversation', id)}
${field({ name: 'with', label: 'With', hint: 'The exact username or email address of one person, or: everybody', autocomplete: 'off', isOptional: teams.length > 0, maxLength: 254 }, form)}
${teams.length > 0 && select({ name: 'team', label: 'Or with a team', options: { '': 'none', ...Object.fromEntries(teams.map(({ id, name }) => [id, name])) } }, form.values.team ?? '')}
<div class="pair">
${select({ name: 'role', label: 'They may', options: { viewer: 'read', contributor: 'read and send messages, with their own key' } }, form.values.role ?? 'viewer')}
${field({ name: 'days', label: 'Ends after days', autocomplete: 'off', isOptional: true, maxLength: 4, inputMode: 'decimal' }, form)}
</div>
<button class="start">Share</button></form></section>`

const rows = (
  id: string,
  heading: string,
  shares: readonly ListedShare[],
  row: (share: ListedShare) => Html,
) => html`<section class="card" aria-labelledby="${id}"><h2 id="${id}">${heading}</h2>
${shares.length === 0 ? html`<p class="soft">None.</p>` : html`<ul class="rows">${shares.map(row)}</ul>`}
</section>`

const ROLES = { viewer: 'reads', contributor: 'reads and sends messages' }

type Terms = NonNullable<NewShare['replaced']>

/** A share with one who had another before, which has ended by this. */
export const replacedNotice = (before: Terms, now: Pick<NewShare, 'role' | 'expiresAt'>): Html =>
  html`<p class="notice good" role="status">Shared, in place of what you gave before. Before: ${inWords(before)}${before.fromPosition > 1 && `, from message ${before.fromPosition} on`}. Now: ${inWords(now)}.</p>`

const inWords = ({ role, expiresAt }: Pick<Terms, 'role' | 'expiresAt'>) =>
  html`${ROLES[role]}, ${expiresAt === null ? 'without an end' : html`until ${day(expiresAt)}`}`

const givenRow = (share: ListedShare, csrfField: Html) => html`<li><div class="what">
<h3><a href="/account/conversations/${share.conversationId}"><bdi>${shownTitle(share.title ?? '')}</bdi></a>
${share.state !== 'active' && html` <span class="tag">${share.state}</span>`}</h3>
<dl class="facts">
${fact('With', recipientOf(share))}
${facts(share)}
</dl></div>
${mayBecomeOwner(share) && transferForm(share, csrfField)}
${endForm(share, 'End', csrfField)}</li>`

const mayBecomeOwner = ({ recipient, role, state }: ListedShare) =>
  recipient !== null && role === 'contributor' && state === 'active'

const transferForm = ({ id, recipient }: ListedShare, csrfField: Html) =>
  confirmation(
    'Make owner…',
    html`<p>From then on <bdi>${recipient}</bdi> decides about this conversation: who reads it, and whether it is deleted. You stay as a contributor as long as they want. Only they can give it back. Links for which nobody has to sign in end.</p>
<form method="post" action="/account/shares/${id}/transfer">${csrfField}<button class="harm small">Make owner</button></form>`,
  )

const recipientOf = ({ recipient, team }: ListedShare) =>
  team !== null ? html`the team <bdi>${team}</bdi>` : html`<bdi>${recipient ?? 'everybody'}</bdi>`

const receivedRow = (share: ListedShare, csrfField: Html) => html`<li><div class="what">
<h3><a href="/account/conversations/${share.conversationId}"><bdi>${shownTitle(share.title ?? '')}</bdi></a>${share.isHidden && html` <span class="tag">hidden</span>`}</h3>
<dl class="facts">${fact('From', html`<bdi>${share.owner}</bdi>`)}${(share.team !== null || share.recipient === null) && fact('With', recipientOf(share))}${facts(share)}</dl></div>
${hideForm(share.conversationId, share.isHidden, csrfField)}
${share.team === null && share.recipient !== null && endForm(share, 'Leave', csrfField)}</li>`

/** Without the title, which its owner chose: it is read once the offer is accepted. */
const offer = (share: ListedShare, csrfField: Html) => html`<li><div class="what">
<h3>From <bdi>${share.owner}</bdi></h3>
<dl class="facts">${facts(share)}</dl></div>
<form method="post" action="/account/shares/${share.id}/accept">${csrfField}<button class="small">Accept</button></form>
${endForm(share, 'Refuse', csrfField)}</li>`

const facts = ({ role, createdAt, expiresAt }: ListedShare) => html`
${fact('Role', `${role}: ${ROLES[role]}`)}
${fact('Since', day(createdAt))}
${expiresAt !== null && fact('Ends', day(expiresAt))}`

const endForm = ({ id }: ListedShare, label: string, csrfField: Html) =>
  confirmation(
    `${label}…`,
    html`<form method="post" action="/account/shares/${id}/end">${csrfField}<button class="harm small">${label}</button></form>`,
  )
