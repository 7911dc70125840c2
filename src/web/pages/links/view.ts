import type { ConversationHead } from '../../../services/conversations/conversation-heads.ts'
import type {
  LinkReaders,
  LinksMode,
  MadeLink,
  ShownLink,
} from '../../../services/conversations/sharing/links.ts'
import { visibleName } from '../../../text/visible-name.ts'
import { confirmation, type FormState, field, hidden, select, summary } from '../../kit/form.ts'
import { count, day, fact } from '../../kit/format.ts'
import { type Html, html } from '../../kit/html.ts'
import type { Page } from '../../kit/layout.ts'
import { shownTitle } from '../conversations/shown-title.ts'

const WHO: Record<LinkReaders, string> = {
  'signed-in': 'people who sign in here',
  public: 'everybody who has it',
}

type LinksPage = {
  csrfField: Html
  notice: Html | undefined
  links: readonly ShownLink[]
  /** The one that the list is about. */
  conversation: ConversationHead | null
  mode: LinksMode
  teams: Teams
  form: FormState
}

/** Those that the visitor is in. */
type Teams = readonly { id: string; name: string }[]

export function linksPage(page: LinksPage): Page {
  const { csrfField, notice, links, conversation, mode, teams, form } = page
  return {
    title: 'Links',
    layout: '/account/conversations',
    body: html`<div class="intro"><h1>Links</h1>
<p class="soft">A link shows a <a href="/account/conversations">conversation</a> as it was when you made the link. For access to what comes later, <a href="/account/shares">share it</a>.</p></div>
${notice}${summary(form)}
${conversation?.role === 'owner' && newLink({ conversation, mode, teams, csrfField }, form)}
<section class="card" aria-labelledby="links"><h2 id="links">Your links</h2>
${links.length === 0 ? html`<p class="soft">None.</p>` : html`<ul class="rows">${links.map((row) => linkRow(row, csrfField))}</ul>${endAll(csrfField)}`}
</section>`,
  }
}

type NewLink = {
  conversation: ConversationHead
  mode: LinksMode
  teams: Teams
  csrfField: Html
}

/** The form that makes a link, for the pages of its conversation. */
export const newLink = (
  { conversation: { id, title }, mode, teams, csrfField }: NewLink,
  form?: FormState,
): Html => html`<section class="card" aria-labelledby="new-link"><h2 id="new-link">Link to <bdi>${shownTitle(title)}</bdi></h2>
<p class="soft">Anyone who has the link and signs in here reads the text as it is now. System prompt, thinking, costs and names are not shown.</p>
<form method="post" action="/account/links">${csrfField}${hidden('conversation', id)}
${teams.length > 0 && select({ name: 'link_team', label: 'For', options: { '': 'everybody who signs in', ...Object.fromEntries(teams.map(({ id, name: team }) => [id, `members of ${team}`])) } }, form?.values.link_team ?? '')}
${linkFields(form)}
<button class="start">Make a link</button></form>
${mode === 'public' && html`<p><a href="${`/account/links/public?conversation=${id}`}">Make a public link, for people without an account</a></p>`}
</section>`

export const linkFields = (form?: FormState, maxDays = 365): Html => html`<div class="pair">
${field({ name: 'ends_after', label: 'Ends after days', hint: `${Math.min(30, maxDays)} unless you say so, at most ${maxDays}`, autocomplete: 'off', isOptional: true, maxLength: 3, inputMode: 'decimal' }, form)}
${field({ name: 'note', label: 'Note for yourself', autocomplete: 'off', isOptional: true, maxLength: 100 }, form)}
</div>`

const linkRow = (link: ShownLink, csrfField: Html) => html`<li><div class="what">
<h3><a href="/account/conversations/${link.conversationId}"><bdi>${shownTitle(link.title)}</bdi></a>
${link.readers === 'public' && html` <span class="tag warn">public</span>`}${link.isExpired && html` <span class="tag">expired</span>`}</h3>
<dl class="facts">
${link.label !== null && fact('Note', html`<bdi>${visibleName(link.label) ?? ''}</bdi>`)}
${fact('For', link.team === null ? WHO[link.readers] : html`members of <bdi>${link.team}</bdi>`)}
${fact('Made', day(link.createdAt))}
${fact('Ends', day(link.expiresAt))}
${fact('Shows', `messages 1 to ${count(link.throughPosition)}`)}
${fact('Views', link.lastViewedOn === null ? 'none' : `${count(link.views)}, the last on ${link.lastViewedOn}`)}
</dl>
${link.isBehind && !link.isExpired && html`<p><a href="${`/account/links/${link.id}/update`}">Show what was added since</a></p>`}</div>
${confirmation('End…', html`<form method="post" action="/account/links/${link.id}/end">${csrfField}<button class="harm small">End</button></form>`)}</li>`

const endAll = (csrfField: Html) =>
  confirmation(
    'End all…',
    html`<form method="post" action="/account/links/end">${csrfField}<p>All your links, of all conversations, stop working at once.</p><button class="harm small">End all links</button></form>`,
  )

/** Shown once: the address is not stored. */
export const madeLinkPage = ({ url, readers, isForTeam, expiresAt }: MadeLink): Page => ({
  title: 'Your new link',
  layout: '/account/conversations',
  body: html`<h1>Your new link</h1>
<p class="notice good" role="status">Copy it now: it is shown only this once.</p>
<section class="card" aria-labelledby="link"><h2 id="link">For ${isForTeam ? 'members of the team' : WHO[readers]}</h2>
<code class="copy" id="new-link">${url}</code>
<p class="soft">It works until ${day(expiresAt)}. You can <a href="/account/links">end it</a> at any time.</p>
</section>`,
})
