/**
 * The cookie that ties a pending authorization to the browser that started it.
 *
 * oidc-provider sets two cookies limited to a path, and a session cookie. A path excludes the
 * `__Host-` prefix, which prevents a neighbouring subdomain from planting a cookie here; and
 * sign-in is the job of the pages' own session, so the provider must not keep one. Hence the
 * browser gets one cookie per pending authorization, named after it, and the provider is shown its
 * own two.
 */

import type { IncomingMessage, ServerResponse } from 'node:http'

export const PROVIDER_COOKIES = { interaction: 'interaction', resume: 'resume', session: 'session' }

/** The uid of the pending authorization in a path. */
const UID_IN_PATH = /^\/(?:connect|oauth\/authorize)\/([\w-]{20,64})(?:[/?]|$)/
const UID_IN_SET_COOKIE = new RegExp(`^${PROVIDER_COOKIES.interaction}=([\\w-]{20,64});`)

export class FlowCookies {
  readonly #isSecure: boolean
  readonly #seconds: number

  /** Browsers refuse `Secure`, and so the prefix, over plain http. */
  constructor({ isSecure, seconds }: { isSecure: boolean; seconds: number }) {
    this.#isSecure = isSecure
    this.#seconds = seconds
  }

  /** The Cookie header that the provider is given for this request. */
  forProvider({ url = '', headers }: Pick<IncomingMessage, 'url' | 'headers'>): string {
    const uid = UID_IN_PATH.exec(url)?.[1]
    if (uid === undefined || !this.#has(headers.cookie ?? '', uid)) return ''
    return `${PROVIDER_COOKIES.interaction}=${uid}; ${PROVIDER_COOKIES.resume}=${uid}`
  }

  /** Replaces the provider's cookies in its answer with ours. */
  forBrowser(req: Pick<IncomingMessage, 'url'>, res: ServerResponse): void {
    const set = [res.getHeader('set-cookie') ?? []].flat().map(String)
    res.removeHeader('set-cookie')
    const begun = set.map((cookie) => UID_IN_SET_COOKIE.exec(cookie)?.[1]).find((uid) => uid)
    const ended = UID_IN_PATH.exec(req.url ?? '')?.[1]
    if (begun) res.setHeader('set-cookie', this.#cookie(begun, begun, this.#seconds))
    else if (ended) res.setHeader('set-cookie', this.#cookie(ended, '', 0))
  }

  #has(cookies: string, uid: string): boolean {
    return cookies.split(/; */).includes(`${this.#name(uid)}=${uid}`)
  }

  #cookie(uid: string, value: string, seconds: number): string {
    const secure = this.#isSecure ? '; Secure' : ''
    return `${this.#name(uid)}=${value}; Path=/; Max-Age=${seconds}; HttpOnly; SameSite=Lax${secure}`
  }

  /** Separates concurrent authorizations in one browser; the value is what is checked. */
  #name(uid: string): string {
    return `${this.#isSecure ? '__Host-' : ''}flow-${uid.slice(0, 8)}`
  }
}
