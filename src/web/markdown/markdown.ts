/**
 * Shows texts that another person may have written: answers of Claude, messages, imports.
 *
 * Only the parser is the library's. Every element is made by a template of ours, so that no text
 * becomes markup, even where the parser is wrong.
 */

import { type Html, html } from '../kit/html.ts'
import { linkTarget } from './link-target.ts'
import { parseMarkdown, parsingCost, type Token } from './parse.ts'

const MOST_SHOWN_OF_TARGET = 200

/** Of the page around the text: its headings go on below this one. */
const LEVEL_ABOVE = 2

/** Of all texts on one page. */
const MOST_COST_OF_PAGE = 16_000

/** As it is, in its own direction. */
export const verbatim = (text: string): Html => html`<div class="verbatim" dir="auto">${text}</div>`

/**
 * Markdown as HTML, without images. Links show where they lead. A text that would take long to
 * parse is shown as it is.
 */
export function markdown(text: string): Html {
  const tokens = parseMarkdown(text)
  if (tokens === undefined) return verbatim(text)
  return html`<div class="prose">${new Rendering().all(tokens)}</div>`
}

/** The texts of one page, in the order of their importance: the last ones are shown as they are. */
export class PageOfMarkdown {
  #left = MOST_COST_OF_PAGE

  show(text: string): Html {
    const cost = parsingCost(text)
    if (cost > this.#left) return verbatim(text)
    this.#left -= cost
    return markdown(text)
  }
}

type Element = (token: Token, content: Html[]) => Html

class Rendering {
  #level = LEVEL_ABOVE

  all(tokens: readonly Token[]): Html[] {
    const open: { token: Token; content: Html[] }[] = []
    let content: Html[] = []
    for (const token of tokens) {
      if (token.nesting === 1) {
        open.push({ token, content })
        content = []
      } else if (token.nesting === 0) {
        content.push(this.#leaf(token))
      } else {
        const begun = open.pop()
        if (!begun) throw new Error('the parser closed more than it opened')
        begun.content.push(this.#element(begun.token, content))
        content = begun.content
      }
    }
    return content
  }

  #leaf(token: Token): Html {
    if (token.type === 'inline') return html`${this.all(token.children ?? [])}`
    const leaf = LEAVES[token.type]
    return leaf ? leaf(token.content) : html`${token.content}`
  }

  #element(token: Token, content: Html[]): Html {
    if (token.type === 'heading_open') return this.#heading(Number(token.tag.slice(1)), content)
    const element = ELEMENTS[token.type]
    return element ? element(token, content) : html`${content}`
  }

  /** Levels are not skipped, so that screen readers can tell the parts of a text. */
  #heading(given: number, content: Html[]): Html {
    if (isEmpty(content)) return html``
    this.#level = Math.min(LEVEL_ABOVE + given, this.#level + 1, HEADINGS.length + LEVEL_ABOVE)
    const heading = HEADINGS[this.#level - LEVEL_ABOVE - 1]
    return heading ? heading(content) : html`${content}`
  }
}

const HEADINGS: readonly ((content: Html[]) => Html)[] = [
  (content) => html`<h3 dir="auto">${content}</h3>`,
  (content) => html`<h4 dir="auto">${content}</h4>`,
  (content) => html`<h5 dir="auto">${content}</h5>`,
  (content) => html`<h6 dir="auto">${content}</h6>`,
]

const code = (text: string) => html`<pre dir="ltr"><code>${text}</code></pre>`

const LEAVES: Record<string, (text: string) => Html> = {
  fence: code,
  code_block: code,
  code_inline: (text) => html`<code dir="auto">${text}</code>`,
  softbreak: () => html`\n`,
  hardbreak: () => html`<br>`,
  hr: () => html`<hr>`,
}

const ELEMENTS: Record<string, Element> = {
  paragraph_open: ({ hidden }, content) =>
    hidden ? html`${content}` : html`<p dir="auto">${content}</p>`,
  blockquote_open: (_token, content) => html`<blockquote>${content}</blockquote>`,
  bullet_list_open: (_token, content) => html`<ul>${content}</ul>`,
  ordered_list_open: (token, content) =>
    html`<ol start="${Number(token.attrGet('start') ?? 1)}">${content}</ol>`,
  list_item_open: (_token, content) => html`<li dir="auto">${content}</li>`,
  table_open: (_token, content) => html`<table>${content}</table>`,
  thead_open: (_token, content) => html`<thead>${content}</thead>`,
  tbody_open: (_token, content) => html`<tbody>${content}</tbody>`,
  tr_open: (_token, content) => html`<tr>${content}</tr>`,
  th_open: (_token, content) =>
    isEmpty(content) ? html`<td></td>` : html`<th scope="col" dir="auto">${content}</th>`,
  td_open: (_token, content) => html`<td dir="auto">${content}</td>`,
  strong_open: (_token, content) => html`<strong>${content}</strong>`,
  em_open: (_token, content) => html`<em>${content}</em>`,
  s_open: (_token, content) => html`<s>${content}</s>`,
  link_open: (token, content) => link(String(token.attrGet('href')), content),
}

function link(given: string, content: Html[]): Html {
  const url = linkTarget(given)
  if (url === undefined) return html`${content}`
  const shown = cut(url)
  if (isEmpty(content)) return anchor(url, [html`${shown}`])
  const isShown = withoutSlash(content.join('')) === withoutSlash(html`${shown}`.toString())
  const target = html` <span class="soft" dir="ltr">(${shown})</span>`
  return html`${anchor(url, content)}${!isShown && target}`
}

const anchor = (url: string, content: Html[]) =>
  html`<a href="${url}" rel="noreferrer nofollow" dir="auto">${content}</a>`

const withoutSlash = (text: string) => text.replace(/\/$/, '')

const isEmpty = (content: readonly Html[]) => content.join('').trim() === ''

const cut = (url: string) =>
  url.length <= MOST_SHOWN_OF_TARGET ? url : `${url.slice(0, MOST_SHOWN_OF_TARGET)}…`
