/**
 * A browser without a screen: cookies, links, forms and redirects, over real HTTP.
 *
 * It follows redirects within the gateway, and stops at foreign ones, whose address it gives back:
 * that is how an OAuth flow ends at its client.
 */

/** A form of a page, as it would be sent when nothing was touched. */
export type Form = { action: string; method: string; fields: [name: string, value: string][] }

export type Visited = {
  status: number
  /** Of the page; for `left`, where the browser was sent. */
  url: URL
  headers: Headers
  html: string
  /** Set when the last redirect led away from the gateway. */
  left: URL | undefined
  /** The page's text, without its markup. */
  text: string
}

/** What is typed into a form; an array ticks exactly these boxes, null leaves the field out. */
export type Filled = Record<string, string | readonly string[] | null>

type SubmitOptions = {
  /** Text of the button that is pressed; sends its name and value along. */
  button?: string
  headers?: Record<string, string>
}

const MAX_REDIRECTS = 10

/** @param publicUrl the gateway's PUBLIC_URL where that is not the address it is reached at. */
export const openBrowser = (baseUrl: string, publicUrl = baseUrl) => new Browser(baseUrl, publicUrl)

export class Browser {
  /** By name, without their attributes; those of a real browser are not enforced. */
  readonly cookies = new Map<string, string>()
  readonly #base: URL
  readonly #own: URL
  #page: Visited | undefined

  constructor(baseUrl: string, publicUrl: string) {
    this.#base = new URL(baseUrl)
    this.#own = new URL(publicUrl)
  }

  /** The page that is open. */
  get page(): Visited {
    if (!this.#page) throw new Error('no page is open')
    return this.#page
  }

  /** The forms of the page that is open. */
  forms(): Form[] {
    return formsOf(this.page.html)
  }

  /** Goes to an address, and on as far as redirects within the gateway lead. */
  async open(address: string | URL, headers: Record<string, string> = {}): Promise<Visited> {
    return this.#follow(address, { headers })
  }

  /**
   * Fills in the form that goes to `action` (a path; its query does not count) and sends it, with
   * its hidden fields and its defaults.
   */
  async submit(
    action: string,
    filled: Filled = {},
    { button, headers = {} }: SubmitOptions = {},
  ): Promise<Visited> {
    const form = findForm(this.page, action)
    const fields = [...fill(form, filled), ...pressed(this.page.html, button)]
    const sent = { origin: this.#own.origin, 'sec-fetch-site': 'same-origin', ...headers }
    const body = new URLSearchParams(fields)
    if (form.method === 'GET') return this.open(`${form.action}?${body}`, headers)
    return this.#follow(form.action, { method: form.method, body, headers: sent })
  }

  /** Sends any fields to any address, as a forged form or a script would. */
  async post(
    path: string,
    fields: Record<string, string> | [string, string][],
    headers: Record<string, string> = {},
  ): Promise<Visited> {
    const body = new URLSearchParams(fields)
    return this.#follow(new URL(path, this.#base), { method: 'POST', body, headers })
  }

  /** Another browser that knows the same cookies. */
  clone(): Browser {
    const other = new Browser(this.#base.href, this.#own.href)
    for (const [name, value] of this.cookies) other.cookies.set(name, value)
    return other
  }

  async #follow(address: string | URL, init: RequestInit): Promise<Visited> {
    let url = this.#reached(new URL(address, this.#base))
    let request = init
    for (let hops = 0; hops <= MAX_REDIRECTS; hops += 1) {
      const response = await this.#send(url, request)
      const location = response.headers.get('location')
      if (location === null || response.status < 300 || response.status > 399) {
        return this.#remember(url, response)
      }
      await response.body?.cancel()
      url = this.#reached(new URL(location, url))
      if (url.host !== this.#base.host) return this.#remember(url, response, url)
      // As browsers do after a form: everything but 307 and 308 goes on with GET.
      if (response.status !== 307 && response.status !== 308) request = {}
    }
    throw new Error(`more than ${MAX_REDIRECTS} redirects, the last one to ${url.pathname}`)
  }

  #reached(url: URL): URL {
    return url.host === this.#own.host ? new URL(url.pathname + url.search, this.#base) : url
  }

  async #send(url: URL, init: RequestInit): Promise<Response> {
    const headers = new Headers(init.headers)
    if (!headers.has('accept')) headers.set('accept', 'text/html,*/*;q=0.8')
    if (this.cookies.size > 0) {
      headers.set('cookie', [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; '))
    }
    const response = await fetch(url, { ...init, headers, redirect: 'manual' })
    for (const cookie of response.headers.getSetCookie()) this.#keep(cookie)
    return response
  }

  #keep(setCookie: string): void {
    const [pair = '', ...attributes] = setCookie.split(';').map((part) => part.trim())
    const [name = '', value = ''] = pair.split(/=(.*)/s)
    if (attributes.some(endsCookie)) this.cookies.delete(name)
    else this.cookies.set(name, value)
  }

  async #remember(url: URL, response: Response, left?: URL): Promise<Visited> {
    const html = left ? '' : await response.text()
    const { status, headers } = response
    this.#page = { status, url, headers, html, left, text: textOf(html) }
    return this.#page
  }
}

function endsCookie(attribute: string): boolean {
  const [key = '', value = ''] = attribute.split('=')
  if (/^max-age$/i.test(key)) return Number(value) <= 0
  return /^expires$/i.test(key) && Date.parse(value) <= Date.now()
}

function findForm({ html, url }: Visited, action: string): Form {
  const forms = formsOf(html)
  const form = forms.find((candidate) => candidate.action.split('?')[0] === action)
  if (form) return form
  const found = forms.map((candidate) => candidate.action).join(', ') || 'none'
  throw new Error(`${url.pathname} has no form that goes to ${action}; its forms: ${found}`)
}

function formsOf(html: string): Form[] {
  return [...html.matchAll(/<form\b([^>]*)>(.*?)<\/form>/gs)].map(([, tag = '', body = '']) => ({
    action: attribute(tag, 'action') ?? '',
    method: (attribute(tag, 'method') ?? 'get').toUpperCase(),
    fields: fieldsOf(body),
  }))
}

function fieldsOf(body: string): [string, string][] {
  const inputs = [...body.matchAll(/<input\b([^>]*)>/g)].flatMap(([, tag = '']) => {
    const name = attribute(tag, 'name')
    const isLeftOut = attribute(tag, 'type') === 'checkbox' && !/\schecked\b/.test(tag)
    return name === undefined || isLeftOut ? [] : [[name, attribute(tag, 'value') ?? ''] as const]
  })
  const selects = [...body.matchAll(/<select\b([^>]*)>(.*?)<\/select>/gs)].map(
    ([, tag = '', options = '']) => {
      const chosen =
        /<option\b([^>]*)\sselected\b/.exec(options) ?? /<option\b([^>]*)/.exec(options)
      return [attribute(tag, 'name') ?? '', attribute(chosen?.[1] ?? '', 'value') ?? ''] as const
    },
  )
  const areas = [...body.matchAll(/<textarea\b([^>]*)>\n?(.*?)<\/textarea>/gs)].map(
    ([, tag = '', text = '']) => [attribute(tag, 'name') ?? '', unescaped(text)] as const,
  )
  return [...inputs, ...selects, ...areas].map(([name, value]) => [name, value])
}

function fill(form: Form, filled: Filled): [string, string][] {
  const untouched = form.fields.filter(([name]) => !(name in filled))
  const typed = Object.entries(filled).flatMap(([name, value]) =>
    (value === null ? [] : [value].flat()).map((one): [string, string] => [name, one]),
  )
  return [...untouched, ...typed]
}

function pressed(html: string, text: string | undefined): [string, string][] {
  if (text === undefined) return []
  for (const [, tag = '', label = ''] of html.matchAll(/<button\b([^>]*)>(.*?)<\/button>/gs)) {
    if (textOf(label) !== text) continue
    const name = attribute(tag, 'name')
    return name === undefined ? [] : [[name, attribute(tag, 'value') ?? '']]
  }
  throw new Error(`the page has no button "${text}"`)
}

function attribute(tag: string, name: string): string | undefined {
  const value = new RegExp(`\\s${name}="([^"]*)"`).exec(tag)?.[1]
  return value === undefined ? undefined : unescaped(value)
}

const textOf = (html: string) =>
  unescaped(html.replace(/<head>.*?<\/head>/s, '').replace(/<[^>]*>/g, ' '))
    .replace(/\s+/g, ' ')
    .trim()

const CHARACTERS: Record<string, string> = {
  '&lt;': '<',
  '&gt;': '>',
  '&quot;': '"',
  '&#39;': "'",
  '&amp;': '&',
}

const unescaped = (text: string) =>
  text.replace(/&(?:lt|gt|quot|#39|amp);/g, (entity) => CHARACTERS[entity] ?? entity)
