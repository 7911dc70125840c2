/** Recomputes the chains of the audit log. */

import { Slice } from '../../concurrency/slices.ts'
import { chainHashHex, FIRST_PREV_HASH } from '../../crypto/audit-chain.ts'
import type { AuditEventRepository, Head, ListedEvent } from '../../repositories/audit/events.ts'
import type { AuditKey, AuditKeys } from './audit-keys.ts'
import { type Checkpoint, openCheckpoint } from './checkpoint-note.ts'

/** What is wrong with a chain, at its first bad event. */
export type AuditFault = {
  chain: string
  seq: string
  kind:
    | 'missing'
    | 'out of order'
    | 'edited'
    | 'forged'
    | 'made with an unknown key'
    | 'cut off'
    | 'beyond the head'
    | 'not in the checkpoint'
}

export type AuditReport = {
  chains: number
  events: number
  faults: AuditFault[]
  /** Why the given checkpoint proves nothing. */
  badCheckpoint?: string
}

type Deps = { events: AuditEventRepository; keys: Pick<AuditKeys, 'list'> }
type Options = {
  /** One chain instead of all. */
  chain?: string | undefined
  /** The signed text of a checkpoint that was kept outside of the database. */
  checkpoint?: string | undefined
  /** How many events are read at once. */
  eventsPerPage?: number
  signal?: AbortSignal
}

const EVENTS_PER_PAGE = 5_000

export class AuditVerification {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /**
   * Checks every event, and that each chain still reaches what the checkpoint says. Reads page by
   * page; events that are added meanwhile are not looked at.
   *
   * @throws AbortError when `signal` aborts.
   */
  async run({
    chain,
    checkpoint,
    eventsPerPage = EVENTS_PER_PAGE,
    signal,
  }: Options = {}): Promise<AuditReport> {
    const { events } = this.#deps
    const keys = await this.#deps.keys.list()
    const opened = checkpoint === undefined ? undefined : openCheckpoint(checkpoint, keys)
    const known = typeof opened === 'object' ? opened : undefined
    const heads = await this.#headsOf(chain, known)
    const report: AuditReport = { chains: heads.length, events: 0, faults: [] }
    if (typeof opened === 'string') report.badCheckpoint = opened
    for (const head of heads) {
      const pages: Pages = {
        size: eventsPerPage,
        after: async (seq) => {
          signal?.throwIfAborted()
          return events.list(head.chain, seq, eventsPerPage)
        },
        head: async () => (await events.listHeads(head.chain))[0],
      }
      const walk = new ChainWalk(head.chain, keys, known?.heads.get(head.chain))
      const { count, fault } = await verifyChain(walk, head, pages)
      report.events += count
      if (fault) report.faults.push(fault)
    }
    return report
  }

  /** Every chain that has a head, events, or a place in the checkpoint. */
  async #headsOf(chain: string | undefined, checkpoint: Checkpoint | undefined): Promise<Head[]> {
    const { events } = this.#deps
    const heads = await events.listHeads(chain)
    if (chain !== undefined && heads.length > 0) return heads
    const named = chain === undefined ? await events.listChains() : [chain]
    const lost = [...named, ...(chain === undefined ? (checkpoint?.heads.keys() ?? []) : [])]
    const known = new Set(heads.map((head) => head.chain))
    const headless = [...new Set(lost)].filter((id) => !known.has(id))
    return [...heads, ...headless.map((id) => ({ chain: id, seq: '0', hash: FIRST_PREV_HASH }))]
  }
}

type Mark = { seq: bigint; hash: string }

/** Of one chain. `head`: as it is now. */
type Pages = {
  size: number
  after(seq: string): Promise<ListedEvent[]>
  head(): Promise<Head | undefined>
}

async function verifyChain(
  walk: ChainWalk,
  head: Head,
  pages: Pages,
): Promise<{ count: number; fault?: AuditFault }> {
  const last = BigInt(head.seq)
  const slice = new Slice()
  let next = pages.after('0')
  for (;;) {
    const page = await next
    slice.begin()
    const end = page.at(-1)
    const isLast = end === undefined || page.length < pages.size
    // The next page is fetched while this one is computed. Its failure is told where it is awaited.
    if (!isLast) next = pages.after(end.seq)
    next.catch(() => {})
    for (const event of page) {
      if (BigInt(event.seq) > last && last > 0n) {
        const fault = (await walk.beyond(event, pages)) ?? walk.end(head)
        return { count: walk.count, ...(fault && { fault }) }
      }
      const fault = walk.step(event)
      if (fault) return { count: walk.count, fault }
      // The next page can be received only in between.
      if (slice.isOver) await slice.next()
    }
    if (isLast) break
  }
  const fault = walk.end(head)
  return { count: walk.count, ...(fault && { fault }) }
}

/** Goes from event to event of one chain. */
class ChainWalk {
  count = 0
  readonly #chain: string
  readonly #keys: ReadonlyMap<string, AuditKey>
  readonly #mark: Mark | undefined
  /** In hex. */
  #prevHash: string = FIRST_PREV_HASH.toString('hex')
  #seq = 0n

  constructor(chain: string, keys: ReadonlyMap<string, AuditKey>, mark: Mark | undefined) {
    this.#chain = chain
    this.#keys = keys
    this.#mark = mark
  }

  step(event: ListedEvent): AuditFault | undefined {
    const expected = this.#seq + 1n
    if (event.seq !== String(expected)) return this.#fault('missing', expected)
    if (this.#prevHash !== event.prevHash) return this.#fault('out of order', expected)
    const hash = chainHashHex(this.#prevHash, event)
    if (hash !== event.hash) return this.#fault('edited', expected)
    const key = this.#keys.get(event.keyId)
    if (!key) return this.#fault('made with an unknown key', expected)
    if (key.vault.macOfHex(hash).toString('hex') !== event.mac)
      return this.#fault('forged', expected)
    if (expected === this.#mark?.seq && hash !== this.#mark.hash) {
      return this.#fault('not in the checkpoint', expected)
    }
    this.#prevHash = hash
    this.#seq = expected
    this.count += 1
    return undefined
  }

  /** An event behind the head that was read: added since together with a newer head, or by SQL alone. */
  async beyond({ seq }: ListedEvent, pages: Pages): Promise<AuditFault | undefined> {
    const now = await pages.head()
    const isReached = now !== undefined && BigInt(now.seq) >= BigInt(seq)
    return isReached ? undefined : this.#fault('beyond the head', BigInt(seq))
  }

  /** After the last event: whether the chain was cut off behind it. */
  end(head: Head): AuditFault | undefined {
    const most = this.#mark && this.#mark.seq > BigInt(head.seq) ? this.#mark.seq : BigInt(head.seq)
    if (this.#seq < most) return this.#fault('cut off', this.#seq + 1n)
    if (this.#prevHash !== head.hash.toString('hex')) return this.#fault('cut off', this.#seq)
    return undefined
  }

  #fault(kind: AuditFault['kind'], seq: bigint): AuditFault {
    return { chain: this.#chain, seq: String(seq), kind }
  }
}
