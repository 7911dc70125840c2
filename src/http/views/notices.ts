/** What a page says after something was done. The address names it; its words are ours alone. */

import { type Html, html } from './html.ts'

const NOTICES = {
  'key-saved': 'Your Anthropic key is saved.',
  'key-saved-by-link': 'Your Anthropic key is saved. Go back to your client and try again.',
  'key-removed': 'Your Anthropic key is removed.',
  'password-changed':
    'Your password is changed. Everything else that was signed in as you has ended.',
  ended: 'Ended.',
  'all-ended': 'Everything has ended. Sign in to begin anew.',
  'signed-out': 'You are signed out.',
  deleted: 'Your account is deleted.',
}

export type Notice = keyof typeof NOTICES

export function notice(name: unknown): Html | undefined {
  if (typeof name !== 'string' || !Object.hasOwn(NOTICES, name)) return undefined
  return html`<p class="notice good" role="status">${NOTICES[name as Notice]}</p>`
}
