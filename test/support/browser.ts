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

export type Browser = ReturnType<typeof openBrowser>

/** What is typed into a form; an array ticks exactly these boxes, null leaves the field out. */
export type Filled = Record<string, string | readonly string[] | null>

type SubmitOptions = {
  /** Text of the button that is pressed; sends its name and value along. */
  button?: string
  headers?: Record<string, string>
}

const MAX_REDIRECTS = 10

/** @param publicUrl the gateway's PUBLIC_URL where that is not the address it is reached at. */
export function openBrowser(baseUrl: string, publicUrl = baseUrl) {
  const base = new URL(baseUrl)
  const own = new URL(publicUrl)
  const reached = (url: URL) =>
    url.host === own.host ? new URL(url.pathname + url.search, base) : url
  const cookies = new Map<string, string>()
  let page: Visited | undefined

  async function open(address: string | URL, init: RequestInit = {}): Promise<Visited> {
    let url = reached(new URL(address, page?.url ?? base))
    let request = init
    for (let hops = 0; hops <= MAX_REDIRECTS; hops += 1) {
      const response = await send(url, request)
      const location = response.headers.get('location')
      if (location === null || response.status < 300 || response.status > 399) {
        return remember(url, response)
      }
      await response.body?.cancel()
      url = reached(new URL(location, url))
      if (url.host !== base.host) return remember(url, response, url)
      // As browsers do after a form: everything but 307 and 308 goes on with GET.
      if (response.status !== 307 && response.status !== 308) request = {}
    }
    throw new Error(`more than ${MAX_REDIRECTS} redirects, the last one to ${url.pathname}`)
  }

  async function send(url: URL, init: RequestInit): Promise<Response> {
    const headers = new Headers(init.headers)
    if (!headers.has('accept')) headers.set('accept', 'text/html,*/*;q=0.8')
    if (cookies.size > 0) {
      headers.set('cookie', [...cookies].map(([name, value]) => `${name}=${value}`).join('; '))
    }
    const response = await fetch(url, { ...init, headers, redirect: 'manual' })
    for (const cookie of response.headers.getSetCookie()) keep(cookie)
    return response
  }

  function keep(setCookie: string): void {
    const [pair = '', ...attributes] = setCookie.split(';').map((part) => part.trim())
    const [name = '', value = ''] = pair.split(/=(.*)/s)
    const isOver = attributes.some((attribute) => {
      const [key, given = ''] = attribute.split('=')
      if (/^max-age$/i.test(key ?? '')) return Number(given) <= 0
      return /^expires$/i.test(key ?? '') && Date.parse(given) <= Date.now()
    })
    if (isOver) cookies.delete(name)
    else cookies.set(name, value)
  }

  async function remember(url: URL, response: Response, left?: URL): Promise<Visited> {
    const html = left ? '' : await response.text()
    const { status, headers } = response
    page = { status, url, headers, html, left, text: textOf(html) }
    return page
  }

  return {
    cookies,
    get page(): Visited {
      if (!page) throw new Error('no page is open')
      return page
    },
    /** Goes to an address, and on as far as redirects within the gateway lead. */
    open: (address: string | URL, headers: Record<string, string> = {}) =>
      open(address, { headers }),
    /**
     * Fills in the form that goes to `action` (a path; its query does not count) and sends it, with
     * its hidden fields and its defaults.
     */
    async submit(
      action: string,
      filled: Filled = {},
      { button, headers = {} }: SubmitOptions = {},
    ): Promise<Visited> {
      if (!page) throw new Error('no page is open')
      const form = findForm(page, action)
      const body = new URLSearchParams(fill(form, filled))
      for (const [name, value] of pressed(page.html, button)) body.append(name, value)
      const sent = { origin: own.origin, 'sec-fetch-site': 'same-origin', ...headers }
      return open(form.action, { method: form.method, body, headers: sent })
    },
    /** Sends any fields to any address, as a forged form or a script would. */
    post: (
      path: string,
      fields: Record<string, string> | string[][],
      headers: Record<string, string> = {},
    ) => open(new URL(path, base), { method: 'POST', body: new URLSearchParams(fields), headers }),
    /** The forms of the page that is open. */
    forms: () => formsOf(page?.html ?? ''),
    /** Another browser that knows the same cookies. */
    clone(): Browser {
      const other = openBrowser(baseUrl, publicUrl)
      for (const [name, value] of cookies) other.cookies.set(name, value)
      return other
    },
  }
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
  return [...inputs, ...selects].map(([name, value]) => [name, value])
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
