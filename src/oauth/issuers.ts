/** One oidc-provider per origin of the gateway, since an issuer has one origin. */

import type { EventEmitter } from 'node:events'
import type { AccessTokens } from '../crypto/tokens.ts'
import type { Logger } from '../log.ts'
import type { AuditLog } from '../services/audit/audit-log.ts'
import type { FlowCookies } from './flow-cookies.ts'
import type { Provider } from './oidc-provider.ts'
import { createProvider, type ProviderOptions } from './provider.ts'
import { addShims } from './shims.ts'

export type IssuerOptions = Omit<ProviderOptions, 'origin'> & {
  tokens: Pick<AccessTokens, 'verify'>
  audit: Pick<AuditLog, 'record'>
  log: Logger
}

type Issuer = { provider: Provider; callback: ReturnType<Provider['callback']> }

export class Issuers {
  readonly #options: IssuerOptions
  readonly #cookies: FlowCookies
  #keys: ProviderOptions['keys']
  /** By origin, which is the issuer; created on the first request to it. */
  #issuers = new Map<string, Issuer>()

  constructor(options: IssuerOptions, cookies: FlowCookies) {
    this.#options = options
    this.#cookies = cookies
    this.#keys = options.keys
    this.at(options.origins.public)
  }

  /** Discards the instances: they hold no state in memory. */
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
    // Koa's error event; its default handler writes to stderr.
    const koa: EventEmitter = provider
    koa.on('error', (err) => this.#options.log.error({ err }, 'OAuth failed'))
    return provider
  }
}
