/** The SQL of calls.ts: a call without a conversation begins and ends, each in one statement. */

import { jsonRows } from '../../database/statements/json-rows.ts'
import { prepare } from '../../database/statements/prepared.ts'
import { isLive } from '../access/reach.ts'
import {
  asker,
  type Books,
  booked,
  GRANT_RESULT,
  isRefused,
  isUnprepared,
  OF_SENDER,
  RESERVING_COLUMNS,
  refusal,
  SETTLING_COLUMNS,
} from './reservation-sql.ts'
import type { GrantRow, UsedShares } from './reservation-values.ts'
import { SENDER_COLUMNS, SENDER_TABLES, type SenderRow } from './sender-context.ts'
import {
  IS_CONTENDED,
  IS_PAYER_GONE,
  OF_TEAM_CALL,
  payerOf,
  TEAM_RESERVING_COLUMNS,
  TEAM_SETTLING_COLUMNS,
} from './team-reservation-sql.ts'

/** The permission that a session needs for such calls. */
const SCOPE = 'messages:api'

export const askedCallers = jsonRows({ userId: 'uuid', sessionId: 'uuid' })

export type CallerRow = SenderRow & { place: number }

/** What a call needs before it can be reserved. Takes no locks; `begin_calls` checks again. */
export const loadCallContexts = prepare<{ callers: string }, CallerRow>(
  'load_call_context',
  (value) => `
  select a.place,${SENDER_COLUMNS}
  from ${askedCallers.as('a', value('callers', 'json'))}${SENDER_TABLES}`,
)

const COLUMNS = {
  callId: 'uuid',
  source: 'text',
  model: 'text',
  tag: 'text',
  client: 'text',
  sessionLabel: 'text',
  agentId: 'text',
  requestClass: 'text',
  keyLastFour: 'text',
  replicaId: 'uuid',
  leaseSeconds: 'float8',
}

export const askedCalls = jsonRows({ ...RESERVING_COLUMNS, ...COLUMNS })
export const askedTeamCalls = jsonRows({ ...TEAM_RESERVING_COLUMNS, ...COLUMNS })

export type CallBeginningRow = GrantRow & {
  /**
   * `payer_gone`: the team, the membership, its key or the leave to spend its money is gone;
   * `contended`: has to be asked alone (team-reservation-sql.ts).
   */
  outcome: 'begun' | 'spent' | 'held' | 'session_ended' | 'payer_gone' | 'unprepared' | 'contended'
}

type Asked = { as(alias: string, rows: string): string }

/** @param payers locks what a team's paying rests on, and `isPayerGone` says whether that is gone. */
const beginningOf = (
  name: string,
  calls: Asked,
  books: Books,
  {
    payers,
    isPayerGone,
    isContended,
  }: { payers: string; isPayerGone: string; isContended: string },
) =>
  prepare<{ calls: string; lockLimit: string }, CallBeginningRow>(
    name,
    (value) => `
  with asked as materialized (
    select a.* from ${calls.as('a', value('calls', 'json'))},
      set_config('lock_timeout', ${value('lockLimit', 'text')}, true)
  ),${asker(SCOPE)},${books.remainingRoom},${payers}
  verdict as materialized (
    select
      a.*,
      case
        when s.id is null then 'session_ended'
        when ${isUnprepared} then 'unprepared'
        ${isPayerGone}${isContended}when ${isRefused} then ${refusal}
        else 'begun'
      end as outcome,${books.grantColumns}
    from asked a
    left join asker s using (place)
    left join remaining r using (place)
  ),
  begun as materialized (
    select * from verdict where outcome = 'begun'
  ),${books.reserved},
  call as (
    insert into calls (id, user_id, session_id, source, model, tag, client, session_label,
      agent_id, request_class, max_tokens_asked, max_tokens_sent, key_last_four, reservation,
      replica_id, lease_expires_at)
    select b.call_id, b.user_id, b.session_id, b.source, b.model, b.tag, b.client, b.session_label,
      b.agent_id, b.request_class, b.max_tokens, b.room_tokens, b.key_last_four,
      ${books.storedReservation}, b.replica_id, now() + make_interval(secs => b.lease_seconds)
    from begun b
  )
  select outcome, ${GRANT_RESULT}
  from verdict
  order by place`,
  )

/** Calls of different users, who pay for them. */
export const beginCalls = beginningOf('begin_calls', askedCalls, OF_SENDER, {
  payers: '',
  isPayerGone: '',
  isContended: '',
})

/** Calls of different users, for which teams pay. */
export const beginTeamCalls = beginningOf('begin_team_calls', askedTeamCalls, OF_TEAM_CALL, {
  payers: `${payerOf('')},`,
  isPayerGone: IS_PAYER_GONE,
  isContended: IS_CONTENDED,
})

const END_COLUMNS = {
  callId: 'uuid',
  status: 'text',
  stopReason: 'text',
  speed: 'text',
  geo: 'text',
  tier: 'text',
  webSearches: 'integer',
  iterations: 'jsonb',
  msToFirstByte: 'integer',
  msTotal: 'integer',
}

export const askedCallEnds = jsonRows({ ...SETTLING_COLUMNS, ...END_COLUMNS })
export const askedTeamCallEnds = jsonRows({ ...TEAM_SETTLING_COLUMNS, ...END_COLUMNS })

export type CallEndRow = { place: number; used: UsedShares | null; isAskerLive: boolean }

/** `running` locks the row of a call and deletes it: of several attempts only one has an effect. */
const endingOf = (name: string, calls: Asked, books: Books) =>
  prepare<{ calls: string; lockLimit: string }, CallEndRow>(
    name,
    (value) => `
  with asked as materialized (
    select a.* from ${calls.as('a', value('calls', 'json'))},
      set_config('lock_timeout', ${value('lockLimit', 'text')}, true)
  ),
  running as (
    select a.*, c.source, c.client, c.session_label, c.agent_id, c.request_class,
      c.max_tokens_asked, c.max_tokens_sent, c.key_last_four
    from asked a join calls c on c.id = a.call_id
    order by c.id
    for update of c
  ),${books.settled},${booked({
    call_id: 'r.call_id',
    source: 'r.source',
    client: 'r.client',
    session_label: 'r.session_label',
    agent_id: 'r.agent_id',
    request_class: 'r.request_class',
    max_tokens_asked: 'r.max_tokens_asked',
    max_tokens_sent: 'r.max_tokens_sent',
    status: 'r.status',
    stop_reason: 'r.stop_reason',
    speed: 'r.speed',
    geo: 'r.geo',
    tier: 'r.tier',
    web_searches: 'r.web_searches',
    iterations: 'r.iterations',
    ms_to_first_byte: 'r.ms_to_first_byte',
    ms_total: 'r.ms_total',
    key_last_four: 'r.key_last_four',
    ...books.ledgerColumns,
  })},
  ended as (
    delete from calls c using running r where c.id = r.call_id
  )
  select place, shares as used,
    exists (
      select from sessions s where s.id = r.session_id and ${isLive('s')}
    ) as is_asker_live
  from used join running r using (place)`,
  )

/** Calls of different users, who pay for them. Returns a row for each that was running. */
export const endCalls = endingOf('end_calls', askedCallEnds, OF_SENDER)

/** The same for calls of different users, for which teams pay. */
export const endTeamCalls = endingOf('end_team_calls', askedTeamCallEnds, OF_TEAM_CALL)
