/** oidc-provider once for each name that the gateway has, since an issuer has but one. */

import type { EventEmitter } from 'node:events'
import type { AccessTokens } from '../crypto/tokens.ts'
import type { Logger } from '../log.ts'
import type { FlowCookies } from './flow-cookies.ts'
import type { Provider } from './oidc-provider.ts'
import { createProvider, type ProviderOptions } from './provider.ts'
import { addShims } from './shims.ts'

export type IssuerOptions = Omit<ProviderOptions, 'origin'> & {
  tokens: Pick<AccessTokens, 'verify'>
  log: Logger
}

type Issuer = { provider: Provider; callback: ReturnType<Provider['callback']> }

export class Issuers {
  readonly #options: IssuerOptions
  readonly #cookies: FlowCookies
  #keys: ProviderOptions['keys']
  /** By the origin that is their issuer; made when somebody asks under it. */
  #issuers = new Map<string, Issuer>()

  constructor(options: IssuerOptions, cookies: FlowCookies) {
    this.#options = options
    this.#cookies = cookies
    this.#keys = options.keys
    this.at(options.origins.public)
  }

  /** Nothing that is kept in memory goes with those before. */
  replaceKeys(keys: ProviderOptions['keys']): void {
    this.#keys = keys
    this.#issuers = new Map()
  }

  at(origin: string): Issuer {
    const known = this.#issuers.get(origin)
    if (known) return known
    const provider = this.#build(origin)
    const issuer = { provider, callback: provider.callback() }
    this.#issuers.set(origin, issuer)
    return issuer
  }

  #build(origin: string): Provider {
    const provider = createProvider({ ...this.#options, origin, keys: this.#keys })
    const { documents, tokens, errorPage } = this.#options
    addShims(provider, { cookies: this.#cookies, documents, tokens, errorPage })
    provider.on('server_error', (_ctx, err) => this.#options.log.error({ err }, 'OAuth failed'))
    // Koa's own event for what its callers should hear of; its default handler writes to stderr.
    const koa: EventEmitter = provider
    koa.on('error', (err) => this.#options.log.error({ err }, 'OAuth failed'))
    return provider
  }
}
