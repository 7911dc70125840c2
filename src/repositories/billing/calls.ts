/**
 * Calls without a conversation, from their reservation to their settlement: the pass-through of the
 * Messages API. Each begins and ends in one prepared statement, and so atomically; calls of
 * different users that do so at the same time share it, and nothing else (reservation-sql.ts).
 */

import { type Kysely, sql } from 'kysely'
import type { CallSource, Schema, StoredTeamPayer } from '../../database/schema.ts'
import { Batcher, lockLimitOf } from '../../database/statements/batcher.ts'
import { inPlaces } from '../../database/statements/json-rows.ts'
import type { TeamPurse } from '../teams/purse-sql.ts'
import type { WhichOrphans } from '../turns/leases.ts'
import { isKnownReservation, toReservation } from './budgets.ts'
import {
  askedCallEnds,
  askedCallers,
  askedCalls,
  askedTeamCallEnds,
  askedTeamCalls,
  beginCalls,
  beginTeamCalls,
  type CallBeginningRow,
  type CallEndRow,
  type CallerRow,
  endCalls,
  endTeamCalls,
  loadCallContexts,
} from './calls-statements.ts'
import {
  type Grant,
  type Refusal,
  type ReservationRequest,
  type Settlement,
  toGrant,
  toInteger,
  toLimited,
  toReservingValues,
  toSettlingValues,
  toTeamValues,
  type UsedShares,
  withPoolAhead,
} from './reservation-values.ts'
import { type SenderContext, toSenderContext } from './sender-context.ts'
import { loadUncontended, SpendingRows, TEAM_LOCKS } from './spending-rows.ts'

export type { CallSource }

/** `purse`: of the team that pays, where it was read as well. */
export type CallContext = SenderContext & { purse?: TeamPurse | undefined }

type CallCaller = { userId: string; sessionId: string }

/** What is told of a call for its costs; in clear, and never used to authorize anything. */
export type CallLabels = {
  tag: string | null
  /** Product part of the user agent. */
  client: string | null
  /** The client's own session. */
  sessionLabel: string | null
  agentId: string | null
  requestClass: string | null
}

export type NewCall = ReservationRequest &
  CallLabels & {
    callId: string
    source: CallSource
    model: string
    /** Of the Anthropic key that pays. */
    keyLastFour: string
    replicaId: string
    leaseSeconds: number
  }

export type BegunCall =
  | ({ outcome: 'begun' } & Grant)
  | Refusal
  /** Also when it may not make such calls. */
  | { outcome: 'session_ended' }
  /** The team, the membership, its key or the leave to spend its money is gone. */
  | { outcome: 'payer_gone' }

/** What the ledger says of a call besides its tokens. */
export type CallEnd = {
  status: 'complete' | 'refused' | 'failed' | 'cancelled' | 'interrupted'
  stopReason: string | null
  speed: string | null
  geo: string | null
  tier: string | null
  webSearches: number
  /** Each with its tokens and unit prices, named like the ledger's columns; null: one model. */
  iterations: Record<string, unknown>[] | null
  msToFirstByte: number | null
  msTotal: number
}

export type EndingCall = Settlement & {
  callId: string
  userId: string
  model: string
  requestId: string | null
  end: CallEnd
}

/** `isAskerLive`: whether the session that asked for it was live when it ended. */
export type EndedCall = { used: UsedShares; isAskerLive: boolean }

export class CallRepository {
  readonly #db: Kysely<Schema>
  readonly #contexts = new Batcher<CallCaller, CallerRow | undefined>({
    run: (callers) => this.#loadTogether(callers),
  })
  readonly #beginnings = new Batcher<BeginningValues, CallBeginningRow>({
    run: (calls) => this.#beginTogether(calls),
    keysOf: ({ userId }) => [userId],
  })
  readonly #endings = new Batcher<EndingValues, CallEndRow | undefined>({
    run: (calls) => this.#endTogether(calls),
    keysOf: ({ userId }) => [userId],
  })
  readonly #teamBeginnings = new Batcher<TeamBeginningValues, CallBeginningRow>({
    run: (calls) => this.#beginForTeams(calls),
    ...TEAM_LOCKS,
  })
  readonly #teamEndings = new Batcher<TeamEndingValues, CallEndRow | undefined>({
    run: (calls) => this.#endForTeams(calls),
    ...TEAM_LOCKS,
  })
  readonly #spendingRows: SpendingRows

  constructor(db: Kysely<Schema>) {
    this.#db = db
    this.#spendingRows = new SpendingRows(db)
  }

  /** @returns undefined when the user no longer exists. */
  async findContext({ userId, sessionId }: CallCaller): Promise<CallContext | undefined> {
    const row = await this.#contexts.load({ userId, sessionId })
    return row && toSenderContext(row)
  }

  async begin(call: NewCall): Promise<BegunCall> {
    const { team } = call
    return toBegunCall(await (team ? this.#beginForTeam({ ...call, team }) : this.#begin(call)))
  }

  /**
   * Settles a running call.
   *
   * @returns undefined when it was no longer running: another attempt has settled it, and this one
   *   has changed nothing.
   */
  async end(call: EndingCall): Promise<EndedCall | undefined> {
    const { team } = call.reservation
    const row = team
      ? await this.#teamEndings.load(
          Object.assign(toTeamValues(team, call.limits.team), toEndingValues(call)),
        )
      : await this.#endings.load(toEndingValues(call))
    return row && { used: row.used ?? {}, isAskerLive: row.isAskerLive }
  }

  /**
   * Renews the leases of the given calls of this process. Locks them by id, since the statement that
   * ends calls also locks several, and skips a locked row until the next time.
   *
   * @returns ids of those for which a cancel was requested.
   */
  async renew(replicaId: string, ids: readonly string[], leaseSeconds: number): Promise<string[]> {
    const own = this.#db
      .selectFrom('calls')
      .select('id')
      .where(sql<boolean>`id = any(${ids}::uuid[])`)
      .where('replicaId', '=', replicaId)
      .orderBy('id')
      .forUpdate()
      .skipLocked()
    const renewed = await this.#db
      .updateTable('calls')
      .set({ leaseExpiresAt: sql<Date>`now() + make_interval(secs => ${leaseSeconds})` })
      .where('id', 'in', own)
      .returning(['id', 'cancelRequestedAt'])
      .execute()
    return renewed.flatMap((row) => (row.cancelRequestedAt === null ? [] : [row.id]))
  }

  /** The lease of each running call, as a value that every renewal changes. */
  async listRunning(): Promise<{ id: string; lease: string }[]> {
    return this.#db
      .selectFrom('calls')
      .select(['id', sql<string>`lease_expires_at::text`.as('lease')])
      .execute()
  }

  /** Those among them that run and whose rows are not locked, so that they could be renewed. */
  async listUnlocked(ids: readonly string[]): Promise<string[]> {
    const rows = await this.#db
      .selectFrom('calls')
      .select('id')
      .where(sql<boolean>`id = any(${ids}::uuid[])`)
      .orderBy('id')
      .forUpdate()
      .skipLocked()
      .execute()
    return rows.map(({ id }) => id)
  }

  /** The next orphans, those with the oldest lease first; parameters like LeaseRepository's. */
  async listOrphans(inHand: readonly string[], which: WhichOrphans) {
    const rows = await this.#db
      .selectFrom('calls')
      .select(['id', 'userId', 'model', 'tag', 'reservation'])
      .select(sql<number>`extract(epoch from now() - started_at)::float8 * 1000`.as('ageMs'))
      .where(sql<boolean>`id <> all(${inHand}::uuid[])`)
      .where(sql.raw<boolean>(isKnownReservation('reservation')))
      .$if(which !== 'all', (query) =>
        query.where(sql<boolean>`id = any(${(which as { among: string[] }).among}::uuid[])`),
      )
      .orderBy('leaseExpiresAt')
      .limit(ORPHANS_AT_ONCE)
      .execute()
    return rows.map((row) => ({ ...row, reservation: toReservation(row.reservation) }))
  }

  /** Asks the processes that run the user's calls to stop them. @returns their ids. */
  async requestCancel(userId: string): Promise<string[]> {
    const rows = await this.#db
      .updateTable('calls')
      .set({ cancelRequestedAt: sql<Date>`now()` })
      .where('userId', '=', userId)
      .returning('id')
      .execute()
    return rows.map(({ id }) => id)
  }

  async #begin(call: NewCall): Promise<CallBeginningRow> {
    const values = toBeginningValues(call)
    return this.#spendingRows.prepared(values, () => this.#beginnings.load(values))
  }

  async #beginForTeam(call: NewCall & { team: StoredTeamPayer }): Promise<CallBeginningRow> {
    const values = Object.assign(toTeamValues(call.team, call.limits.team), toBeginningValues(call))
    return this.#spendingRows.prepared(values, () => loadUncontended(this.#teamBeginnings, values))
  }

  async #loadTogether(callers: readonly CallCaller[]): Promise<(CallerRow | undefined)[]> {
    return inPlaces(
      callers,
      await loadCallContexts(this.#db, { callers: askedCallers.toJson(callers) }),
    )
  }

  async #beginTogether(calls: readonly BeginningValues[]): Promise<CallBeginningRow[]> {
    return beginCalls(this.#db, { calls: askedCalls.toJson(calls), lockLimit: lockLimitOf(calls) })
  }

  async #endTogether(calls: readonly EndingValues[]): Promise<(CallEndRow | undefined)[]> {
    const values = { calls: askedCallEnds.toJson(calls), lockLimit: lockLimitOf(calls) }
    return inPlaces(calls, await endCalls(this.#db, values))
  }

  async #beginForTeams(calls: readonly TeamBeginningValues[]): Promise<CallBeginningRow[]> {
    const lockLimit = lockLimitOf(calls)
    const asked = askedTeamCalls.toJson(withPoolAhead(calls))
    return beginTeamCalls(this.#db, { calls: asked, lockLimit })
  }

  async #endForTeams(calls: readonly TeamEndingValues[]): Promise<(CallEndRow | undefined)[]> {
    const values = { calls: askedTeamCallEnds.toJson(calls), lockLimit: lockLimitOf(calls) }
    return inPlaces(calls, await endTeamCalls(this.#db, values))
  }
}

const ORPHANS_AT_ONCE = 200

type BeginningValues = ReturnType<typeof toBeginningValues>
type EndingValues = ReturnType<typeof toEndingValues>
type TeamBeginningValues = BeginningValues & ReturnType<typeof toTeamValues>
type TeamEndingValues = EndingValues & ReturnType<typeof toTeamValues>

const toBeginningValues = (call: NewCall) => ({
  callId: call.callId,
  source: call.source,
  model: call.model,
  tag: call.tag,
  client: call.client,
  sessionLabel: call.sessionLabel,
  agentId: call.agentId,
  requestClass: call.requestClass,
  keyLastFour: call.keyLastFour,
  replicaId: call.replicaId,
  leaseSeconds: call.leaseSeconds,
  ...toReservingValues(call),
})

const toEndingValues = ({ end, ...call }: EndingCall) => ({
  callId: call.callId,
  userId: call.userId,
  model: call.model,
  requestId: call.requestId,
  status: end.status,
  stopReason: end.stopReason,
  speed: end.speed,
  geo: end.geo,
  tier: end.tier,
  webSearches: toInteger(end.webSearches),
  iterations: end.iterations,
  msToFirstByte: end.msToFirstByte === null ? null : toInteger(end.msToFirstByte),
  msTotal: toInteger(end.msTotal),
  ...toSettlingValues(call),
})

function toBegunCall(row: CallBeginningRow): BegunCall {
  const { outcome } = row
  if (outcome === 'begun') return { outcome, ...toGrant(row) }
  if (outcome === 'spent' || outcome === 'held') return { outcome, limited: toLimited(row) }
  if (outcome === 'unprepared' || outcome === 'contended') throw new Error(`begin_call: ${outcome}`)
  return { outcome }
}
