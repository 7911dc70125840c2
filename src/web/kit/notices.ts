/**
 * Confirmation messages after an action. The URL only names one; the texts are fixed, and each is
 * shown only on its own page.
 */

import { type Html, html } from './html.ts'

const OF_WEBHOOKS = {
  tested: 'A test is on its way. See below what became of it.',
  disabled: 'Disabled. Nothing more is sent to it.',
  enabled: 'Enabled. It is told of what happens from now on.',
  deleted: 'Deleted.',
}

const NOTICES: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  '/': { deleted: 'Your account is deleted.' },
  '/sign-in': {
    'signed-out': 'You are signed out.',
    'all-ended': 'All sessions have ended. Sign in again.',
    'password-chosen': 'Your password is saved. Sign in with it.',
  },
  '/account/conversations': { deleted: 'The conversation is deleted.' },
  '/account/conversations/:id': {
    stopped: 'Claude is being stopped.',
    renamed: 'Renamed.',
    archived: 'Archived. It is back in your list when a message is sent in it.',
    unarchived: 'Taken back from the archive.',
    paid: 'Saved. It applies from the next message on.',
    branched: 'This is a copy of your own. What you send here is in the copy only.',
  },
  '/account/key': {
    'key-saved': 'Your Anthropic key is saved.',
    'key-saved-by-link': 'Your Anthropic key is saved. Go back to your client and try again.',
    'key-removed': 'Your Anthropic key is removed.',
  },
  '/account/connections': { ended: 'Ended.' },
  '/account/shares': {
    shared: 'Shared. A person has to accept it on this page of their own.',
    ended: 'Ended. It had its effect at once.',
    hidden: 'Hidden. It is in none of your lists any more, and can be shown again here.',
    unhidden: 'It is in your lists again.',
    transferred: 'It has a new owner now. You can read it and send messages in it.',
    saved: 'Saved.',
  },
  '/account/requests': {
    asked: 'Asked. You see it here until it is decided.',
    'taken-back': 'Taken back.',
  },
  '/account/teams': { left: 'You have left the team.' },
  '/account/teams/:id/conversations': {
    ended: 'Its shares and links have ended.',
    deleted: 'The conversation is deleted.',
  },
  '/account/teams/:id/money': {
    'key-saved': "The team's key is saved.",
    'key-removed': "The team's key is removed.",
    saved: 'Saved.',
  },
  '/account/teams/:id/webhooks': OF_WEBHOOKS,
  '/account/teams/:id': {
    saved: 'Saved.',
    removed: 'Removed. It had its effect at once.',
    'taken-back': 'The invitation is taken back.',
    archived: 'The team is archived.',
    joined: 'You are in the team.',
    decided: 'Decided.',
  },
  '/account/links': {
    ended: 'Ended. The link works no more.',
    'all-ended': 'Ended. None of your links works any more.',
    updated: 'The link shows more now.',
  },
  '/admin/webhooks': OF_WEBHOOKS,
  '/admin/requests': { decided: 'Decided.' },
  '/admin/users/:name/budget': { saved: 'Saved. It has its effect from now on.' },
  '/admin/users/:name': {
    saved: 'Saved. It has its effect from now on.',
    'signed-out': 'Everything that was signed in as this user has ended.',
  },
  '/admin/users': {
    deleted: 'The account is deleted.',
    'taken-back': 'The invitation is taken back.',
  },
  '/account/tokens': { ended: 'Ended.' },
  '/account/usage': { 'limits-saved': 'Your limits are saved.' },
  '/account/password': {
    'password-changed':
      'Your password is changed. Everything else that was signed in as you has ended.',
  },
}

/** @param path of the page, as its route says it. */
export function notice(path: string, name: unknown): Html | undefined {
  const ofPage = Object.hasOwn(NOTICES, path) ? NOTICES[path] : undefined
  if (!ofPage || typeof name !== 'string' || !Object.hasOwn(ofPage, name)) return undefined
  return html`<p class="notice good" role="status">${ofPage[name]}</p>`
}
