/**
 * Clients' metadata documents, kept for when their hosts are slow or away: whoever connected
 * yesterday is not to be locked out by a name server. The provider keeps each for as long as it says
 * that it is good, and comes here after that.
 */

import { fetchUnderPolicy } from './fetch-policy.ts'

type Document = { body: string; fetchedAt: number }
type Failure = { error: unknown; until: number }
type HeaderList = ConstructorParameters<typeof Headers>[0]

/** Who asks waits so long for the document as it is now, then gets the one from before. */
const FRESH_WITHIN_MS = 500
/** Older than this it is good for nothing. */
const MAX_STALE_MS = 24 * 3_600_000
/** So long a failure answers for those who ask the same. */
const FAILURE_MS = 5_000
const MAX_KEPT = 500

export class ClientDocuments {
  readonly #privateHosts: readonly string[]
  readonly #documents = new Map<string, Document>()
  readonly #failures = new Map<string, Failure>()
  readonly #underWay = new Map<string, Promise<Response>>()

  /** `privateHosts`: names whose documents may lie at private addresses. */
  constructor(privateHosts: readonly string[]) {
    this.#privateHosts = privateHosts
  }

  /** @throws Error saying why there is none; the provider answers `invalid_client`. */
  async get(url: string, headers: HeaderList): Promise<Response> {
    const kept = this.#kept(url)
    const failure = this.#failures.get(url)
    if (failure && performance.now() < failure.until) {
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
    try {
      const answer = await fetchUnderPolicy(url, headers ? { headers } : {}, this.#privateHosts)
      this.#failures.delete(url)
      await this.#keep(url, answer.clone())
      return answer
    } catch (error) {
      put(this.#failures, url, { error, until: performance.now() + FAILURE_MS })
      throw error
    }
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
