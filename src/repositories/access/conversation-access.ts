/**
 * SQL for who may read or continue which conversation. Every statement that reads or changes
 * conversations or their messages for a user contains one of these fragments.
 *
 * A user has access as the owner, or by a grant: to them, once they have accepted it, to a team that
 * they are in, or to everybody who has an account. Of several grants the strongest counts. A session
 * additionally needs to reach the conversation (reach.ts).
 */

import { isLive, isReached } from './reach.ts'

/** From the weakest on: who reads, who also sends messages, and who also decides about it. */
export const CONVERSATION_ROLES = ['viewer', 'contributor', 'owner'] as const
export type ConversationRole = (typeof CONVERSATION_ROLES)[number]

/** For `conversations` and `messages`: both name the conversation's owner. */
export const isOwnedBy = (row: string, user: string) => `${row}.user_id = ${user}`

/** Whether the user is in the team, and it is in use. */
export const isInTeam = (team: string, user: string) => `exists (
      select from team_members membership
      join teams joined on joined.id = membership.team_id and joined.archived_at is null
      where membership.team_id = ${team} and membership.user_id = ${user}
    )`

/** Whether the grant `g` is in force for the user: of none, while the operator has sharing off. */
export const isGrantedTo = (g: string, user: string) => `(
    coalesce(current_setting('claude_api_gateway.sharing', true), 'on') <> 'off'
    and (${g}.expires_at is null or ${g}.expires_at > now())
    and case
      when ${g}.user_id is not null then ${g}.user_id = ${user} and ${g}.accepted_at is not null
      when ${g}.team_id is not null then ${isInTeam(`${g}.team_id`, user)}
      else true
    end
  )`

/**
 * A table expression for a `join ... on true`: one row with the user's role and the first position
 * that they may read, or none without access. Looks at no grants for an owner.
 *
 * @param conversation alias of `conversations`.
 */
export const accessTo = (conversation: string, user: string) => `lateral (
    select 'owner' as role, 1 as from_position where ${isOwnedBy(conversation, user)}
    union all (
      select g.role, g.from_position
      from conversation_grants g
      where not (${isOwnedBy(conversation, user)})
        and g.conversation_id = ${conversation}.id and ${isGrantedTo('g', user)}
      order by g.role = 'contributor' desc, g.from_position
      limit 1
    )
  )`

/**
 * A table expression like `conversations`, of one row at most: the conversation if the user has
 * access to it, with their `role` and `from_position`, and the `version` of its row: every change of
 * the row gives it another one.
 */
export const accessibleConversation = (id: string, user: string) => `lateral (
    select c.*, c.xmin::text as version, access.role, access.from_position
    from conversations c cross join ${accessTo('c', user)} as access
    where c.id = ${id}
    offset 0
  )`

/** Whether the session reaches the conversation, and its user may send messages in it. */
export const mayContinue = (conversation: string, session: string, readsAll: string) => `(
    ${isReached(conversation, session, readsAll)}
    and (
      ${isOwnedBy(conversation, `${session}.user_id`)}
      or exists (
        select from conversation_grants g
        where g.conversation_id = ${conversation}.id and g.role = 'contributor'
          and ${isGrantedTo('g', `${session}.user_id`)}
      )
    )
  )`

/** SQL for the id of the team that pays where no call says otherwise; null: each sender does. */
export const payingTeam = (conversation: string) =>
  `case when ${conversation}.payer = 'team' then ${conversation}.paying_team_id end`

/** For `messages`: whether the user wrote it, or asked for the answer. */
export const isSentBy = (message: string, user: string) =>
  `coalesce(${message}.sender_id, ${message}.user_id) = ${user}`

/** Whether the link `l` works. */
export const isLinkInForce = (l: string) => `(${l}.revoked_at is null and ${l}.expires_at > now())`

/**
 * A table expression like `conversations`, of one row at most: the conversation that a link shows to
 * a visitor, with `link_id` and `through_position`, the last message that it shows.
 *
 * @param tokenHash SHA-256 of the secret in the link's address.
 * @param session id of the visitor's session; null when they are not signed in.
 * @param isPublic SQL for whether the operator allows links that need no session.
 */
export const linkedConversation = (
  tokenHash: string,
  session: string,
  isPublic: string,
) => `lateral (
    select c.*, l.id as link_id, l.through_position
    from conversation_links l
    join conversations c on c.id = l.conversation_id
    join users maker on maker.id = c.user_id and maker.suspended_at is null
    where l.token_hash = ${tokenHash} and ${isLinkInForce('l')}
      and (
        l.audience = 'public' and ${isPublic}
        or exists (
          select from sessions s
          where s.id = ${session} and ${isLive('s')}
            and (l.audience in ('public', 'everybody') or ${isInTeam('l.team_id', 's.user_id')})
        )
      )
    offset 0
  )`

/** Whether a conversation is shared, with people or by a link that works. */
export const hasReaders = (conversation: string) => `(
    exists (
      select from conversation_grants g
      where g.conversation_id = ${conversation}.id and (g.expires_at is null or g.expires_at > now())
    ) or exists (
      select from conversation_links l
      where l.conversation_id = ${conversation}.id and ${isLinkInForce('l')}
    )
  )`
