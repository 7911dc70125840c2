import type { SnapshotPage } from '../../../services/conversations/sharing/snapshots.ts'
import { type Html, html } from '../../kit/html.ts'
import type { Page } from '../../kit/layout.ts'
import { snapshotView } from './snapshot-view.ts'

/**
 * What a link shows. Neither title nor description of the conversation is in its head: chat
 * programs would show them as a preview, which outlives the link.
 *
 * @param path of the link.
 */
export async function sharedPage(page: SnapshotPage, path: string): Promise<Page> {
  const { messages, nextAfter } = page
  return {
    title: 'A shared conversation',
    layout: 'wide',
    body: html`<div class="intro"><h1>A shared conversation</h1>
<p class="soft">A user of this gateway shared what they and Claude wrote. What comes later in it is not shown.</p>
<p><a href="${`${path}/copy`}" rel="nofollow">Continue as a copy</a></p></div>
${await snapshotView(messages)}
${nextAfter !== null && html`<p><a href="${`${path}?after=${nextAfter}`}" rel="nofollow">More messages</a></p>`}`,
  }
}

/** @param signInPath null for a visitor who is signed in. */
export const noSuchLinkPage = (signInPath: string | null): Page => ({
  title: 'Nothing here',
  body: html`<section class="card"><h1>There is nothing here for you</h1>
<p>This link has ended, is not for you, or never was one.</p>
${
  signInPath === null
    ? html`<p><a href="/account">To your account</a></p>`
    : html`<p>Some links are for people who are signed in: <a href="${signInPath}" rel="nofollow">Sign in</a></p>`
}
</section>`,
})

export const copyPage = (path: string, csrfField: Html): Page => ({
  title: 'Continue as a copy',
  body: html`<div class="intro"><h1>Continue as a copy</h1>
<p class="soft">The text becomes a conversation of your own. What you send in it is billed to your Anthropic key, with the text as its history. The person who shared it does not see it.</p></div>
<form class="card" method="post" action="${`${path}/copy`}">${csrfField}
<div class="actions"><button>Make a copy</button><a href="${path}">Back</a></div></form>`,
})
