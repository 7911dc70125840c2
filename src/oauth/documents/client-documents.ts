/**
 * Cache of clients' metadata documents for when their hosts are slow or down, so that a DNS failure
 * does not lock out known clients. The provider itself caches each document for its declared
 * lifetime, and comes here after that.
 */

import type { Logger } from '../../log.ts'
import type { Outgoing } from '../../network/outgoing.ts'
import { type Reason, reasonOf, reasonOfStatus } from '../../network/untrusted/fetch-reasons.ts'
import { isListed } from '../../network/untrusted/reach-policy.ts'
import { fetchUnderPolicy } from './fetch-policy.ts'
import { WayOut } from './way-out.ts'

type Document = { body: string; fetchedAt: number }
/** Without `error`: the host answered, but not with a document. */
type Failure = { error?: unknown; reason: Reason; until: number }
type HeaderList = ConstructorParameters<typeof Headers>[0]

/** How long a caller waits for the current document before it gets the cached one. */
const FRESH_WITHIN_MS = 500
/** Older cached documents are not used. */
const MAX_STALE_MS = 24 * 3_600_000
/** How long a failure is cached for further callers. */
const FAILURE_MS = 5_000
const MAX_KEPT = 500

const MAX_LOGGED_CHARS = 300

/** Hosts that many clients' documents are at, and that answer any request. */
const PROBES = ['https://claude.ai/oauth/claude-code-client-metadata', 'https://chatgpt.com/']
const PROBE_WITHIN_MS = 5000

/** `auto`: announced while outside hosts are reachable; `off`: no document is accepted. */
export type DocumentMode = 'auto' | 'on' | 'off'

type Options = {
  mode: DocumentMode
  /** Host names whose documents may be at private addresses. */
  privateHosts: readonly string[]
  outgoing: Outgoing
  log: Logger
}

export class ClientDocuments {
  readonly #options: Options
  readonly #wayOut: WayOut
  readonly #documents = new Map<string, Document>()
  readonly #failures = new Map<string, Failure>()
  readonly #underWay = new Map<string, Promise<Response>>()

  constructor(options: Options) {
    const { outgoing, log } = options
    this.#options = options
    const probe = (url: string) => {
      const signal = AbortSignal.timeout(PROBE_WITHIN_MS)
      return fetchUnderPolicy(url, { method: 'HEAD', signal }, [], outgoing)
    }
    this.#wayOut = new WayOut({ tryIt: () => Promise.all(PROBES.map(probe)), log })
  }

  /** Starts probing whether documents can be fetched, in mode `auto`. */
  start(): void {
    if (this.#options.mode === 'auto') void this.#wayOut.start()
  }

  stop(): void {
    this.#wayOut.stop()
  }

  get areTaken(): boolean {
    return this.#options.mode !== 'off'
  }

  /** Clients with a document register instead while documents are not announced. */
  get areAnnounced(): boolean {
    return this.#options.mode === 'on' || (this.areTaken && this.#wayOut.isOpen)
  }

  /** Why the last fetch of a document failed; undefined if it succeeded. */
  whyNot(url: string): string | undefined {
    return this.#failures.get(url)?.reason.shown
  }

  /** @throws Error naming the reason; the provider answers `invalid_client`. */
  async get(url: string, headers: HeaderList): Promise<Response> {
    const kept = this.#kept(url)
    const failure = this.#failures.get(url)
    if (failure?.error !== undefined && performance.now() < failure.until) {
      if (kept) return toResponse(kept)
      throw failure.error
    }
    const fetched = this.#fetchOnce(url, headers)
    if (!kept) return (await fetched).clone()
    return Promise.race([fetched.then((answer) => answer.clone()), soon()]).then(
      (answer) => answer ?? toResponse(kept),
      () => toResponse(kept),
    )
  }

  #kept(url: string): Document | undefined {
    const document = this.#documents.get(url)
    const isOld = document && performance.now() - document.fetchedAt > MAX_STALE_MS
    return isOld ? undefined : document
  }

  #fetchOnce(url: string, headers: HeaderList): Promise<Response> {
    const underWay = this.#underWay.get(url) ?? this.#fetch(url, headers)
    this.#underWay.set(url, underWay)
    // The callers that await it get the error.
    underWay.catch(() => {}).finally(() => this.#underWay.delete(url))
    return underWay
  }

  async #fetch(url: string, headers: HeaderList): Promise<Response> {
    const { privateHosts, outgoing } = this.#options
    const isOperators = isListed(new URL(url).hostname, privateHosts)
    try {
      const given = headers ? { headers } : {}
      const answer = await fetchUnderPolicy(url, given, privateHosts, outgoing)
      if (answer.status === 200) this.#failures.delete(url)
      else this.#note(url, { reason: reasonOfStatus(answer.status, isOperators) })
      await this.#keep(url, answer.clone())
      return answer
    } catch (error) {
      this.#note(url, { error, reason: reasonOf(error, isOperators) })
      if (this.#options.mode === 'auto') this.#wayOut.doubt()
      throw error
    }
  }

  #note(url: string, failure: Omit<Failure, 'until'>): void {
    put(this.#failures, url, { ...failure, until: performance.now() + FAILURE_MS })
    this.#options.log.warn(
      { document: url.slice(0, MAX_LOGGED_CHARS), reason: failure.reason.logged },
      "a client's document could not be fetched",
    )
  }

  /** A host that answers with anything but a document has withdrawn it. */
  async #keep(url: string, answer: Response): Promise<void> {
    if (answer.status !== 200) return void this.#documents.delete(url)
    const document = {
      body: await answer.text(),
      fetchedAt: performance.now(),
    }
    put(this.#documents, url, document)
  }
}

/** Evicts the oldest entry first. */
function put<Value>(kept: Map<string, Value>, key: string, value: Value): void {
  kept.delete(key)
  const [oldest] = kept.size < MAX_KEPT ? [] : kept.keys()
  if (oldest !== undefined) kept.delete(oldest)
  kept.set(key, value)
}

/** Expires at once, regardless of its declared lifetime, so that it is soon requested again. */
const toResponse = ({ body }: Document) =>
  new Response(body, {
    status: 200,
    headers: { 'content-type': 'application/json', 'cache-control': 'max-age=0' },
  })

const soon = () =>
  new Promise<undefined>((resolve) => {
    setTimeout(resolve, FRESH_WITHIN_MS, undefined).unref()
  })
