import type { Services } from '../../../services/index.ts'
import { type FormErrors, hidden, summary } from '../../kit/form.ts'
import { minute } from '../../kit/format.ts'
import { type Html, html } from '../../kit/html.ts'
import type { Page } from '../../kit/layout.ts'

type JoinPage = {
  invitation: NonNullable<Awaited<ReturnType<Services['invitations']['look']>>>
  token: string
  csrfField: Html
  /** Of the visitor; null: not signed in. */
  username: string | null
  errors: FormErrors
}

export const joinPage = (page: JoinPage): Page => {
  const { invitation, token, username, errors } = page
  const { team, teamRole, invitedBy, expiresAt, usernameKey, emailKey } = invitation
  return {
    title: 'Invitation',
    body: html`<div class="intro"><h1>Invitation</h1>
<p><bdi>${invitedBy ?? 'The operator of this gateway'}</bdi> invites you ${team === null ? 'to this gateway' : html`into the team <strong><bdi>${team}</bdi></strong> as ${teamRole}`}.</p>
<p class="soft">It works once, until ${minute(expiresAt)}${usernameKey !== null && html`, for the user <bdi>${usernameKey}</bdi> alone`}${emailKey !== null && html`, for a new account with the address that it was made for`}.</p></div>
${summary({ values: {}, errors })}
${username !== null && emailKey === null && team !== null ? accepting(page) : entering(token, username, emailKey !== null)}`,
  }
}

const accepting = ({
  invitation,
  token,
  csrfField,
  username,
}: JoinPage) => html`<form class="card" method="post" action="/join">${csrfField}${hidden('invitation', token)}
<p>You are signed in as <strong><bdi>${username}</bdi></strong>. The other members will see your name. Conversations are shared with the team only by those who own them. ${DEPARTURES[invitation.onDeparture ?? 'delete']}</p>
<button>Accept</button></form>`

const DEPARTURES = {
  keep: 'If you delete your account, those of yours that you have made the team’s pass to the member who has contributed to them for longest.',
  delete:
    'If you delete your account, yours are deleted, also those that you have made the team’s.',
}

const entering = (
  token: string,
  username: string | null,
  isForNewAccount: boolean,
) => html`<section class="card">
${username !== null && html`<p>You are signed in as <strong><bdi>${username}</bdi></strong>, and this invitation is for a new account: sign out first.</p>`}
<ul class="steps">${!isForNewAccount && html`<li><a href="${`/sign-in?return_to=${encodeURIComponent(`/join?invitation=${token}`)}`}">Sign in</a>, if you have an account here.</li>`}
<li><a href="${`/sign-up?invitation=${token}`}">Create an account</a> with this invitation.</li></ul></section>`

/** The same for all that keeps one from being used. */
export const unusablePage: Page = {
  title: 'This invitation cannot be used',
  body: html`<div class="intro"><h1>This invitation cannot be used</h1>
<p class="soft">It was used already, has ended, was taken back, or is for another person. If you are in the team already, there is nothing to do. Otherwise ask for a new one.</p></div>`,
}
