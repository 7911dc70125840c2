/**
 * Confirmation messages after an action. The URL only names one; the texts are fixed, and each is
 * shown only on its own page.
 */

import { type Html, html } from './html.ts'

const NOTICES: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  '/': { deleted: 'Your account is deleted.' },
  '/sign-in': {
    'signed-out': 'You are signed out.',
    'all-ended': 'Everything has ended. Sign in to begin anew.',
  },
  '/account/key': {
    'key-saved': 'Your Anthropic key is saved.',
    'key-saved-by-link': 'Your Anthropic key is saved. Go back to your client and try again.',
    'key-removed': 'Your Anthropic key is removed.',
  },
  '/account/connections': { ended: 'Ended.' },
  '/account/tokens': { ended: 'Ended.' },
  '/account/usage': { 'limits-saved': 'Your limits are saved.' },
  '/account/password': {
    'password-changed':
      'Your password is changed. Everything else that was signed in as you has ended.',
  },
}

/** @param path of the page. */
export function notice(path: string, name: unknown): Html | undefined {
  const ofPage = Object.hasOwn(NOTICES, path) ? NOTICES[path] : undefined
  if (!ofPage || typeof name !== 'string' || !Object.hasOwn(ofPage, name)) return undefined
  return html`<p class="notice good" role="status">${ofPage[name]}</p>`
}
