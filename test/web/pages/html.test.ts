/** Markup that is escaped by construction. */

import { describe, expect, test } from 'vitest'
import { html } from '../../../src/web/kit/html.ts'

const HOSTILE = `<script>alert(1)</script>"'&<img src=x onerror=alert(1)>`
const ESCAPED =
  '&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;&lt;img src=x onerror=alert(1)&gt;'

test('text and attributes are escaped', () => {
  expect(html`<p title="${HOSTILE}">${HOSTILE}</p>`.toString()).toBe(
    `<p title="${ESCAPED}">${ESCAPED}</p>`,
  )
})

test('what a template made is not escaped again, what only looks like it is', () => {
  const inner = html`<b>${'<'}</b>`
  expect(html`<p>${inner}</p>`.toString()).toBe('<p><b>&lt;</b></p>')
  const forged = { toString: () => '<b>' } as unknown as string
  expect(html`<p>${[forged].map(String)}</p>`.toString()).toBe('<p>&lt;b&gt;</p>')
})

test('lists are joined, each item escaped; nothing is written for what is absent', () => {
  expect(html`${[html`<i>a</i>`, '<', 1, 2n, null, undefined, false]}`.toString()).toBe(
    '<i>a</i>&lt;12',
  )
})

describe('places that escaping cannot make safe are refused', () => {
  test.each([
    ['an unquoted attribute', () => html`<p title=${'x'}>`],
    ['an unquoted attribute after a space', () => html`<p title= ${'x'}>`],
    ['single quotes', () => html`<p title='${'x'}'>`],
    ['an event handler', () => html`<p onclick="${'x'}">`],
    ['a script', () => html`<script>let a = "${'x'}"</script>`],
    ['a style', () => html`<style>p { color: ${'x'} }</style>`],
  ])('%s', (_name, template) => {
    expect(template).toThrow(/cannot be escaped/)
  })

  test.each([
    'javascript:alert(1)',
    'JaVaScRiPt:alert(1)',
    'data:text/html,<b>',
    '//evil.example',
    '/\\evil.example',
    ' javascript:alert(1)',
    'vbscript:x',
  ])('a link to %s', (url) => {
    expect(() => html`<a href="${url}">x</a>`).toThrow(/local, or to the web/)
    expect(() => html`<form action="${url}">`).toThrow(/local, or to the web/)
  })

  test.each(['/account', '#field-name', 'https://example.com/?a=1'])('but not to %s', (url) => {
    expect(html`<a href="${url}">x</a>`.toString()).toBe(`<a href="${url}">x</a>`)
  })
})
