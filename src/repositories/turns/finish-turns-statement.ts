/** The SQL of finish-turns.ts, which documents its guarantees and lock order. */

import { byteRows } from '../../database/statements/json-rows.ts'
import { prepare } from '../../database/statements/prepared.ts'
import { isGrantedTo } from '../access/conversation-access.ts'
import { isLive } from '../access/reach.ts'
import { type Books, booked, OF_SENDER, SETTLING_COLUMNS } from '../billing/reservation-sql.ts'
import type { UsedShares } from '../billing/reservation-values.ts'
import { OF_TEAM, TEAM_SETTLING_COLUMNS } from '../billing/team-reservation-sql.ts'

const COLUMNS = {
  answerId: 'uuid',
  conversationId: 'uuid',
  status: 'text',
  content: 'bytea',
  stopSequence: 'bytea',
  tokenCount: 'integer',
  result: 'jsonb',
  errorCode: 'text',
  durationMs: 'integer',
  upstreamMs: 'integer',
  keepsIdempotencyKey: 'boolean',
  conversationModel: 'text',
  historyStart: 'integer',
  systemPrompt: 'bytea',
  setsSystemPrompt: 'boolean',
  isForgotten: 'boolean',
  blankTitle: 'bytea',
}

export const askedEndings = byteRows({ ...SETTLING_COLUMNS, ...COLUMNS })
export const askedTeamEndings = byteRows({ ...TEAM_SETTLING_COLUMNS, ...COLUMNS })

export type EndingRow = {
  place: number
  used: UsedShares | null
  isAskerLive: boolean
  hasAccess: boolean
  /** Of the conversation's row, before and after; null where this turn no longer held it. */
  versionBefore: string | null
  version: string
}

type Asked = { as(alias: string, rows: string, bytes: string): string }

const endingOf = (name: string, asked: Asked, books: Books) =>
  prepare<{ rows: string; bytes: Buffer; lockLimit: string }, EndingRow>(
    name,
    (value) => `
  with asked as materialized (
    select a.* from ${asked.as('a', value('rows', 'json'), value('bytes', 'bytea'))},
      set_config('lock_timeout', ${value('lockLimit', 'text')}, true)
  ),
  running as (
    select a.*, m.position, m.user_id as owner_id, m.key_last_four
    from asked a join messages m on m.id = a.answer_id
    where m.status = 'running'
    order by m.id
    for update of m
  ),${books.settled},
  answer as (
    update messages m set
      status = r.status,
      content = r.content,
      stop_sequence = r.stop_sequence,
      model = r.model,
      token_count = r.token_count,
      result = r.result || case
        when used.shares is null then '{}'
        else jsonb_build_object('budget_used', used.shares)
      end,
      error_code = r.error_code,
      request_id = r.request_id,
      finished_at = now(),
      duration_ms = r.duration_ms,
      upstream_ms = r.upstream_ms,
      replica_id = null,
      lease_expires_at = null,
      reservation = null,
      tag = case when not r.is_forgotten then m.tag end,
      idempotency_hash = case when r.keeps_idempotency_key then m.idempotency_hash end
    from running r join used using (place)
    where m.id = r.answer_id
  ),
  question as (
    update messages m set
      status = r.status,
      finished_at = now(),
      content = case when not r.is_forgotten then m.content end
    from running r
    where m.conversation_id = r.conversation_id and m.position = r.position - 1
  ),${booked({
    conversation_id: 'r.conversation_id',
    message_id: 'r.answer_id',
    owner_id: 'nullif(r.owner_id, r.user_id)',
    key_last_four: 'r.key_last_four',
    ...books.ledgerColumns,
  })},
  forgotten as (
    insert into forgotten_turns (answer_id, conversation_id, user_id)
    select r.answer_id, r.conversation_id, r.owner_id from running r where r.is_forgotten
    on conflict do nothing
  ),
  emptied as materialized (
    select r.place
    from running r
    where case when r.is_forgotten then not exists (
      select from messages kept
      where kept.conversation_id = r.conversation_id and kept.position < r.position - 1
        and kept.role = 'user' and kept.content is not null
    ) or exists (
      select from conversations branch
      where branch.id = r.conversation_id and not branch.is_listed
    ) else false end
  ),
  held as (
    select r.place, c.id, c.xmin::text as version
    from running r join used using (place)
    join conversations c on c.id = r.conversation_id and c.running_message_id = r.answer_id
    order by c.id
    for update of c
  ),
  released as (
    update conversations c set
      running_message_id = null,
      updated_at = now(),
      model = coalesce(r.conversation_model, c.model),
      system_prompt = case when r.sets_system_prompt then r.system_prompt else c.system_prompt end,
      title = case when emptied.place is null then c.title else r.blank_title end,
      title_by = case when emptied.place is null then c.title_by end,
      is_listed = emptied.place is null,
      history_start = coalesce(r.history_start, c.history_start),
      history_omitted = c.history_omitted + case
        when r.history_start is null then 0
        else (
          select count(*) from messages cut
          where cut.conversation_id = c.id and cut.status = 'complete'
            and cut.position >= c.history_start and cut.position < r.history_start
        )
      end
    from running r join held using (place) left join emptied using (place)
    where c.id = held.id
  )
  select place, shares as used,
    exists (
      select from sessions s where s.id = r.session_id and ${isLive('s')}
    ) as is_asker_live,
    r.owner_id = r.user_id or exists (
      select from conversation_grants g
      where g.conversation_id = r.conversation_id and ${isGrantedTo('g', 'r.user_id')}
    ) as has_access,
    held.version as version_before, pg_current_xact_id()::xid::text as version
  from used join running r using (place) left join held using (place)`,
  )

/** Turns of different users, who pay for them. Returns a row for each turn that was running. */
export const endTurns = endingOf('end_turns', askedEndings, OF_SENDER)

/** The same for turns of different users, for which teams pay. */
export const endTeamTurns = endingOf('end_team_turns', askedTeamEndings, OF_TEAM)
