/**
 * Clients' metadata documents, kept for when their hosts are slow or away: whoever connected
 * yesterday is not to be locked out by a name server. The provider keeps each for as long as it says
 * that it is good, and comes here after that.
 */

import type { Logger } from '../log.ts'
import type { Outgoing } from '../outgoing.ts'
import { fetchUnderPolicy, isListed } from './fetch-policy.ts'
import { type Reason, reasonOf, reasonOfStatus } from './fetch-reasons.ts'
import { WayOut } from './way-out.ts'

type Document = { body: string; fetchedAt: number }
/** Without an error something was answered, though no document. */
type Failure = { error?: unknown; reason: Reason; until: number }
type HeaderList = ConstructorParameters<typeof Headers>[0]

/** Who asks waits so long for the document as it is now, then gets the one from before. */
const FRESH_WITHIN_MS = 500
/** Older than this it is good for nothing. */
const MAX_STALE_MS = 24 * 3_600_000
/** So long a failure answers for those who ask the same. */
const FAILURE_MS = 5_000
const MAX_KEPT = 500

const MAX_LOGGED_CHARS = 300

/** Who is behind a document: what most people connect, and answers everybody. */
const PROBES = ['https://claude.ai/oauth/claude-code-client-metadata', 'https://chatgpt.com/']
const PROBE_WITHIN_MS = 5000

/** `auto`: announced while hosts elsewhere can be reached; `off`: none is taken. */
export type DocumentMode = 'auto' | 'on' | 'off'

type Options = {
  mode: DocumentMode
  /** Names whose documents may lie at private addresses. */
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

  /** Begins to find out whether they can be fetched, where that decides. */
  start(): void {
    if (this.#options.mode === 'auto') void this.#wayOut.start()
  }

  stop(): void {
    this.#wayOut.stop()
  }

  get areTaken(): boolean {
    return this.#options.mode !== 'off'
  }

  /** Clients that have one register instead, where it is not said that documents are taken. */
  get areAnnounced(): boolean {
    return this.#options.mode === 'on' || (this.areTaken && this.#wayOut.isOpen)
  }

  /** Why a document could not be fetched when it was tried last; undefined when it could. */
  whyNot(url: string): string | undefined {
    return this.#failures.get(url)?.reason.shown
  }

  /** @throws Error saying why there is none; the provider answers `invalid_client`. */
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
    // Whoever waits for it gets the error.
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

  /** A host that answers with anything but a document has taken it back. */
  async #keep(url: string, answer: Response): Promise<void> {
    if (answer.status !== 200) return void this.#documents.delete(url)
    const document = {
      body: await answer.text(),
      fetchedAt: performance.now(),
    }
    put(this.#documents, url, document)
  }
}

/** What was put first goes first. */
function put<Value>(kept: Map<string, Value>, key: string, value: Value): void {
  kept.delete(key)
  const [oldest] = kept.size < MAX_KEPT ? [] : kept.keys()
  if (oldest !== undefined) kept.delete(oldest)
  kept.set(key, value)
}

/** To be asked for again soon, whatever it said of its own age. */
const toResponse = ({ body }: Document) =>
  new Response(body, {
    status: 200,
    headers: { 'content-type': 'application/json', 'cache-control': 'max-age=0' },
  })

const soon = () =>
  new Promise<undefined>((resolve) => {
    setTimeout(resolve, FRESH_WITHIN_MS, undefined).unref()
  })
