import { confirmation, type FormState, field, hidden, summary } from '../../kit/form.ts'
import { day } from '../../kit/format.ts'
import { type Html, html } from '../../kit/html.ts'
import type { Page } from '../../kit/layout.ts'

export type KeyStatus = { lastFour: string; createdAt: Date; rejectedAt: Date | null } | null

type KeyPage = {
  csrfField: Html
  status: KeyStatus
  form: FormState
  notice?: Html | undefined
  /** The token of the one-time link that led here. */
  link: string | undefined
  /** Where a visitor without a key was going. */
  onward: { returnTo: string; skipTo: string } | undefined
}

export function keyPage(given: KeyPage): Page {
  const { status, onward, notice, form } = given
  return {
    title: 'Anthropic key',
    layout: onward ? 'narrow' : '/account/key',
    body: html`<div class="intro"><h1>${status ? 'Your Anthropic key' : 'Add your Anthropic key'}</h1>
<p class="soft">Messages are sent to Claude with your own key, and Anthropic bills you for them.</p></div>
${notice}${summary(form)}
${status && stored(given.csrfField, status)}
${entry(given)}`,
  }
}

const stored = (
  csrfField: Html,
  { lastFour, createdAt, rejectedAt }: NonNullable<KeyStatus>,
) => html`
<section class="card" aria-labelledby="stored">
<h2 id="stored">Stored key</h2>
<p class="figure mono">••••${lastFour}</p>
<p class="soft">Added ${day(createdAt)}. It is encrypted and never shown again.</p>
${rejectedAt && html`<p class="notice warn">Anthropic refused this key on ${day(rejectedAt)}. Replace it below.</p>`}
${confirmation(
  'Remove key…',
  html`<p>Your clients cannot send messages any more until you enter a key again.</p>
<form method="post" action="/account/key/remove">${csrfField}<button class="harm start">Remove key</button></form>`,
)}
</section>`

const entry = ({ csrfField, status, form, link, onward }: KeyPage) => html`
<form class="card" method="post" action="/account/key">
${csrfField}${hidden('link', link)}${hidden('return_to', onward?.returnTo)}
${field(
  {
    name: 'key',
    label: status ? 'New key' : 'Anthropic API key',
    type: 'password',
    autocomplete: 'off',
    maxLength: 512,
    hint: html`It begins with <code>sk-ant-api</code>. Make one in the <a href="https://console.anthropic.com/settings/keys" rel="noreferrer">Anthropic Console</a>, best with a spend limit of its own.`,
  },
  form,
)}
<p class="soft">We test the key with Anthropic when you save it. That costs nothing.</p>
<div class="actions"><button>${status ? 'Replace key' : 'Save key'}</button>
${onward && html`<a href="${onward.skipTo}">Skip for now</a>`}</div>
</form>`

/** Does not tell which of the three applies: that would reveal whose link it is. */
export const wrongLinkPage = (username: string): Page => ({
  title: 'This link cannot be used',
  body: html`<div class="intro"><h1>This link cannot be used</h1>
<p class="soft">It was used already, has expired, or was made for another user. A link is good for 15 minutes, and for one key.</p></div>
<section class="card" aria-labelledby="helps"><h2 id="helps">What to do</h2>
<ul class="steps">
<li>If you have entered your key with it, that is done: go back to your app and try again.</li>
<li>If it has expired, ask the app to try again, which gives you a new link. Or just <a href="/account/key">enter your key here</a>, without a link.</li>
<li>You are signed in as <strong><bdi>${username}</bdi></strong>. If the app is connected as another user, sign out and open the link again as that one.</li>
</ul></section>`,
})
