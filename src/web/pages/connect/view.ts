/** The consent page, on which the user decides what a client may do. */

import { isLoopback } from '../../../oauth/redirect-addresses.ts'
import { isReading, SCOPES, type Scope } from '../../../services/access/scopes.ts'
import { checkboxes, type FormState, field, hidden, select, summary } from '../../kit/form.ts'
import { usd } from '../../kit/format.ts'
import { type Html, html } from '../../kit/html.ts'
import type { Page } from '../../kit/layout.ts'
import { type Purses, pursesBoxes } from '../teams/purses.ts'

export const EXPIRY_DAYS = {
  '1': '1 day',
  '7': '7 days',
  '30': '30 days',
  '90': '90 days',
  '365': '1 year',
}

export type ExistingConnection = { limitNanoUsd: bigint | null; spentNanoUsd: bigint | null }

type Consent = {
  csrfField: Html
  /** The path of this page. */
  path: string
  client: { id: string; name: string; isDocument: boolean }
  redirectUri: string
  /** Requested scopes, and those selected. */
  asked: readonly Scope[]
  chosen: readonly Scope[]
  username: string
  hasKey: boolean
  /** The client's existing connection; undefined for a new one. */
  existing: ExistingConnection | undefined
  purses: Purses
  form: FormState
}

export function consentPage(consent: Consent): Page {
  const { client, form, csrfField, path, asked, chosen } = consent
  const isChosen = (scope: Scope) => chosen.includes(scope)
  return {
    title: 'Connect an app',
    body: html`<div class="intro"><h1>Connect <bdi>${client.name}</bdi>?</h1>
<p class="soft">It wants to use this gateway as you.</p></div>
${summary(form)}
<section class="card" aria-label="Who is asking">
${identity(client, consent.redirectUri)}
<div class="target"><span class="soft">You will be sent back to</span>${destination(consent.redirectUri)}</div>
</section>
${consent.existing && already(consent.existing, client.isDocument)}
<form class="card" method="post" action="${path}">
${csrfField}
${checkboxes(
  {
    name: 'permissions',
    legend: 'It may',
    choices: asked.map((value) => ({
      value,
      label: SCOPES[value],
      note: value,
      isChosen: isChosen(value),
    })),
  },
  form,
)}
${asked.includes('messages:send') && pursesBoxes(consent.purses)}
<div class="pair">
${select({ name: 'days', label: 'Connection ends after', options: EXPIRY_DAYS }, form.values.days ?? '30')}
${field({ name: 'limit', label: 'Monthly limit in USD', isOptional: true, autocomplete: 'off', inputMode: 'decimal', maxLength: 12 }, form)}
</div>
${!consent.hasKey && html`<p class="notice warn">You have not added an Anthropic key yet, so messages will fail until you do.</p>`}
${!asked.every(isReading) && confirmedBox(form)}
<div class="actions wide">
<button name="decision" value="approve">Approve</button>
<button class="second" name="decision" value="deny" formnovalidate>Deny</button>
</div>
<p class="soft">You can end this connection at any time in your account.</p>
</form>
<form class="inline" method="post" action="/sign-out">${csrfField}${hidden('return_to', path)}
<p>Signed in as <strong><bdi>${consent.username}</bdi></strong>. <button class="plain">Not you?</button></p></form>`,
  }
}

function already({ limitNanoUsd, spentNanoUsd }: ExistingConnection, isDocument: boolean): Html {
  const spent =
    limitNanoUsd === null
      ? 'without a limit of its own'
      : `with a limit of ${usd(limitNanoUsd)} a month, of which ${usd(spentNanoUsd ?? 0n)} is spent`
  return html`<p class="notice">It is connected already, ${spent}. ${
    isDocument
      ? 'Approve makes one more connection, with a limit of its own.'
      : 'What you approve here takes the place of that; what it has spent this month still counts.'
  }</p>`
}

/** A separate box, never checked in advance: see the page's route. */
const confirmedBox = (form: FormState): Html =>
  checkboxes(
    {
      name: 'confirmed',
      legend: 'To let it do more than read',
      choices: [
        {
          value: 'yes',
          label: 'I have just started this connection myself, and it may act and spend for me.',
          isChosen: false,
        },
      ],
    },
    form,
  )

function identity({ id, isDocument }: Consent['client'], redirectUri: string): Html {
  if (!isDocument) {
    return html`<p><span class="tag warn">Name not verified</span></p>
<p>It gave this name itself. Approve only if you have just started this, and know the address below.</p>`
  }
  const { host, origin } = new URL(id)
  return html`<p><span class="tag">Identified by ${host}</span></p>
<p>Its name and addresses are published at <strong class="address">${id}</strong>. Nothing else is known of it.</p>
${new URL(redirectUri).origin !== origin && elsewhere(redirectUri, host)}`
}

/** Warns that anyone may name this document: it does not prove which app is asking. */
function elsewhere(redirectUri: string, host: string): Html {
  const place = redirectUri.startsWith('https:')
    ? html`another site than ${host}`
    : html`an app on this device, and any app can say that it is the one which ${host} describes`
  return html`<p class="notice warn">You will be sent to ${place}. Approve only if you have just started this yourself.</p>`
}

/** Where the code will be sent, by host or app, so that the user can recognise a trap. */
function destination(redirectUri: string): Html {
  const url = new URL(redirectUri)
  if (isLoopback(url))
    return html`<strong>${url.host}</strong><span>An app on this computer.</span>`
  if (url.protocol === 'https:') return html`<strong>${url.host}</strong>`
  return html`<strong>${url.protocol}//</strong><span>The app on this device that opens such links.</span>`
}
