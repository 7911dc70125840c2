/**
 * HTML templates that are escaped by construction.
 *
 * A value in a template is text, unless another template made it. For escaping to suffice, a value
 * may only be in text or between double quotes, and may begin a link only if its scheme cannot run
 * scripts.
 */

class Markup {
  readonly #text: string

  constructor(text: string) {
    this.#text = text
  }

  toString(): string {
    return this.#text
  }
}

/** Created only by templates. */
export type Html = Markup

type Value = Html | string | number | bigint | null | undefined | false | readonly Value[]

/** @throws Error for a template that escaping cannot make safe, with any values. */
export function html(strings: TemplateStringsArray, ...values: Value[]): Html {
  checkOnce(strings)
  const parts = strings.map((text, index) => {
    if (index >= values.length) return text
    const value = render(values[index])
    if (LINK_BEGINS.test(text)) refuseForeignScheme(value)
    return text + value
  })
  return new Markup(parts.join(''))
}

function render(value: Value): string {
  if (value === null || value === undefined || value === false) return ''
  if (value instanceof Markup) return value.toString()
  if (typeof value === 'object') return value.map(render).join('')
  return escaped(String(value))
}

const ENTITIES: Record<string, string> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

const escaped = (text: string) => text.replace(/[&<>"']/g, (character) => ENTITIES[character] ?? '')

const LINK_BEGINS = /\b(?:href|src|action|formaction)="$/
const UNSAFE_PLACE = /=\s*$|='[^']*$|\bon[a-z]+="[^"]*$|<(?:script|style)\b/i

const checked = new WeakSet<TemplateStringsArray>()

function checkOnce(strings: TemplateStringsArray): void {
  if (checked.has(strings)) return
  const unsafe = strings.slice(0, -1).find((text) => UNSAFE_PLACE.test(text))
  if (unsafe !== undefined) throw new Error(`A value cannot be escaped after: ${unsafe.slice(-40)}`)
  checked.add(strings)
}

function refuseForeignScheme(url: string): void {
  if (!/^(?:\/(?![/\\])|#|https?:|mailto:)/.test(url))
    throw new Error('A link must be local, or to the web, or write a mail')
}
