/** Texts of other people as HTML: nothing that they hold becomes markup of its own. */

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { markdown, PageOfMarkdown } from '../../../src/web/markdown/markdown.ts'

const shown = (text: string) => markdown(text).toString()
const isVerbatim = (html: string) => html.startsWith('<div class="verbatim"')

const unescaped = (html: string) =>
  html
    .replace(/<[^>]*>/g, '')
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&#39;', "'")
    .replaceAll('&amp;', '&')

/** Every tag there may be, exactly as it is written. */
const OWN_TAG = new RegExp(
  [
    '</?(?:div|pre|code|p|ul|li|blockquote|table|thead|tbody|tr|th|td|strong|em|s|ol|a|span|h[3-6]|br|hr)>',
    '<(?:p|li|th scope="col"|td|code|h[3-6]) dir="auto">',
    '<div class="(?:prose|verbatim)"(?: dir="auto")?>',
    '<pre dir="ltr">',
    '<ol start="\\d+">',
    '<span class="soft" dir="ltr">',
    '<a href="(?:https?://|mailto:)[^"<>]*" rel="noreferrer nofollow" dir="auto">',
  ].join('|'),
  'g',
)

test('what Claude writes is shown as it means it', () => {
  const html = shown(
    '# Title\n\nA *word*, **bold**, ~~gone~~ and `code`.\n\n- one\n- two\n\n> said\n\n3. three\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```js\nx < 1\n```\n',
  )
  for (const part of [
    '<h3 dir="auto">Title</h3>',
    '<em>word</em>',
    '<strong>bold</strong>',
    '<s>gone</s>',
    '<code dir="auto">code</code>',
    '<li dir="auto">one</li>',
    '<blockquote><p dir="auto">said</p></blockquote>',
    '<ol start="3">',
    '<th scope="col" dir="auto">a</th>',
    '<td dir="auto">2</td>',
    '<pre dir="ltr"><code>x &lt; 1\n</code></pre>',
  ]) {
    expect(html).toContain(part)
  }
})

test('headings go on below those of the page, and skip no level', () => {
  expect(shown('### a\n\n###### b\n\n# c\n\n#\n').match(/<h\d/g)).toEqual(['<h3', '<h4', '<h3'])
})

describe('no markup of a text', () => {
  test.each([
    '<script>alert(1)</script>',
    '<img src=x onerror=alert(1)>',
    '<svg/onload=alert(1)>\n\ntext',
    '<!-- --><style>*{}</style>',
    '</div></main><h1>forged</h1>',
    '```"><script>\n<b>\n```',
    '`<b>`',
    '| <b> |\n|---|\n| <i> |',
    '&lt;script&gt; &#60;script&#62;',
    '[a](https://example.com/"onclick="alert(1))',
    '<https://example.com/"><script>alert(1)</script>>',
  ])('%j', (text) => {
    const html = shown(text)
    expect(html.replace(OWN_TAG, '')).not.toMatch(/[<>]/)
    expect(html).not.toMatch(/<(?:script|img|svg|style|b|i|h1|main)\b/)
  })

  test('of any text, however it is put together', () => {
    const piece = fc.constantFrom(
      ...['<', '>', '"', "'", '&', '[', ']', '(', ')', '!', '`', '```', '~~~', '*', '_', '#', '\n'],
      ...['\n\n', '    ', '- ', '1. ', '> ', '|', '|-|', 'https://e.example', 'javascript:', 'a'],
      ...['<script>', 'onclick=', '&lt;', '&#x22;', '\\', '\0', '\u202e', '<!--', ']]>', 'mailto:'],
    )
    const text = fc.array(piece, { maxLength: 40 }).map((pieces) => pieces.join(''))
    fc.assert(
      fc.property(text, (given) => {
        expect(shown(given).replace(OWN_TAG, '')).not.toMatch(/[<>]/)
      }),
      { numRuns: 3000 },
    )
  })
})

describe('links', () => {
  test.each([
    'javascript:alert(1)',
    'JaVaScRiPt:alert(1)',
    'java\nscript:alert(1)',
    'data:text/html,<script>',
    'vbscript:x',
    'file:///etc/passwd',
    '/account/delete',
    '//evil.example',
    '#main',
    'https://bank.example@evil.example/',
  ])('to %j are none', (url) => {
    expect(shown(`[click](${url}) [click](<${url}>) <${url}>`)).not.toContain('<a ')
    expect(shown(`[click][r]\n\n[r]: ${url}`)).not.toContain('<a ')
  })

  test('say where they lead, and tell it nothing', () => {
    expect(shown('[your bank](HTTPS://Evil.Example/a)')).toContain(
      '<a href="https://evil.example/a" rel="noreferrer nofollow" dir="auto">your bank</a> <span class="soft" dir="ltr">(https://evil.example/a)</span>',
    )
    expect(shown('[https://bank.example](https://evil.example)')).toContain(
      '(https://evil.example/)',
    )
    expect(shown('[аррӏе](https://аррӏе.example)')).toContain('(https://xn--')
    expect(shown('[write](mailto:a@b.example)')).toContain('href="mailto:a@b.example"')
  })

  test('that show their own address do so once', () => {
    expect(shown('<https://a.example/b>').match(/a\.example/g)).toHaveLength(2)
    expect(shown('[](https://a.example/b)')).toContain('>https://a.example/b</a>')
  })
})

test('images are links at most: nothing is fetched', () => {
  for (const text of ['![a](https://evil.example/?secret)', '![a][r]\n\n[r]: https://e.example']) {
    expect(shown(text)).not.toMatch(/<img|src=/)
  }
})

describe('a text that would hold up the process is shown as it is, whole', () => {
  test.each([
    ['a megabyte of [', '['.repeat(1_000_000)],
    ['many emphases', '*a_ '.repeat(20_000)],
    ['a table of many columns', `${'|a'.repeat(300)}\n${'|-'.repeat(300)}\n${'a\n'.repeat(300)}`],
    ['very many lines', '# a\n'.repeat(10_000)],
    ['lists in lists on every line', `${'- '.repeat(30)}a\n`.repeat(1000)],
    ['a long text', 'word '.repeat(20_000)],
  ])('%s', (_name, text) => {
    const html = shown(text)
    expect(isVerbatim(html)).toBe(true)
    expect(unescaped(html)).toBe(text)
  })

  test('lists too deep to be parsed, of which the parser would drop a part', () => {
    const text = Array.from({ length: 60 }, (_, depth) => `${'  '.repeat(depth)}- level ${depth}`)
    expect(unescaped(shown(text.join('\n')))).toContain('level 59')
  })

  test('and of many texts on a page the last ones', () => {
    const page = new PageOfMarkdown()
    const text = '*a* '.repeat(1000)
    const pages = Array.from({ length: 12 }, () => page.show(text).toString())
    expect(isVerbatim(pages[0] ?? '')).toBe(false)
    expect(isVerbatim(pages.at(-1) ?? '')).toBe(true)
    expect(isVerbatim(page.show('*short*').toString())).toBe(false)
  })
})
