/** The layout around every page. */

import { type Html, html } from './html.ts'
import { STYLESHEET_PATH } from './stylesheet.ts'

export const PRODUCT = 'Claude API Gateway'

/** The sections of the account, in menu order. */
export const SECTIONS = {
  '/account': 'Overview',
  '/account/conversations': 'Conversations',
  '/account/teams': 'Teams',
  '/account/key': 'Anthropic key',
  '/account/connections': 'Connections',
  '/account/tokens': 'Access tokens',
  '/account/usage': 'Usage',
  '/account/password': 'Password',
  '/account/data': 'Your data',
} as const

/** The sections for auditors and admins of the installation. */
export const ADMIN_SECTIONS = {
  '/admin/users': 'Users',
  '/admin/teams': 'Teams',
  '/admin/requests': 'Requests',
  '/admin/shares': 'Shares and links',
  '/admin/webhooks': 'Webhooks',
  '/admin/audit': 'Audit',
} as const

export type Section = keyof typeof SECTIONS | keyof typeof ADMIN_SECTIONS

export type Page = {
  /** The window title; the page has an h1 of its own. */
  title: string
  body: Html
  /** A section adds the account menu; otherwise one wide or narrow column. */
  layout?: Section | 'wide' | 'narrow'
}

/** The signed-in user, and the CSRF field of the sign-out form. */
export type Visitor = { username: string; isAuditor: boolean; csrfField: Html }

export function document({ title, body, layout = 'narrow' }: Page, visitor: Visitor | null): Html {
  const kind = layout === 'wide' || layout === 'narrow' ? layout : 'account'
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="theme-color" content="#f5f4f1" media="(prefers-color-scheme: light)">
<meta name="theme-color" content="#10161d" media="(prefers-color-scheme: dark)">
<title>${title} · ${PRODUCT}</title>
<link rel="icon" href="/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="${STYLESHEET_PATH}">
</head>
<body class="${kind}">
<a class="skip" href="#main">Skip to content</a>
<header class="top">
<a class="brand" href="/"><img src="/icon.svg" alt="" width="30" height="30">${PRODUCT}</a>
${visitor ? signedIn(visitor) : ''}
</header>
<main id="main" tabindex="-1">
${kind === 'account' ? inAccount(body, layout) : body}
</main>
<footer class="foot">Keys and conversations are stored encrypted on this gateway.</footer>
</body>
</html>
`
}

const signedIn = ({ username, isAuditor, csrfField }: Visitor) => html`<div class="who">
${
  isAuditor &&
  html`<a href="/admin/users">Administration</a>
`
}<a href="/account">${username}</a>
<form method="post" action="/sign-out">${csrfField}<button class="second small">Sign out</button></form>
</div>`

function inAccount(body: Html, current: string): Html {
  const isAdmin = Object.hasOwn(ADMIN_SECTIONS, current)
  const links = Object.entries(isAdmin ? ADMIN_SECTIONS : SECTIONS).map(
    ([path, name]) =>
      html`<li><a href="${path}"${path === current && html` aria-current="page"`}>${name}</a></li>`,
  )
  return html`<nav class="menu" aria-label="${isAdmin ? 'Administration' : 'Account'}"><ul>${links}</ul></nav>
<div class="part">${body}</div>`
}
