import { isGrantedTo, isOwnedBy } from '../access/conversation-access.ts'

/**
 * Whether a conversation is in the lists of a user who is not its owner. Begins with the grants:
 * there are far fewer of them than conversations.
 */
export const isSharedWith = (conversation: string, user: string) => `(
    ${conversation}.id in (
      select g.conversation_id from conversation_grants g
      where g.user_id = ${user} and ${isGrantedTo('g', user)}
      union all
      select g.conversation_id
      from team_members own join conversation_grants g on g.team_id = own.team_id
      where own.user_id = ${user} and ${isGrantedTo('g', user)}
      union all
      select g.conversation_id from conversation_grants g
      where g.user_id is null and g.team_id is null and ${isGrantedTo('g', user)}
    )
    and not (${isOwnedBy(conversation, user)})
    and not ${isHiddenFrom(conversation, user)}
  )`

/** Whether the user has taken a conversation that is shared with them out of all their lists. */
export const isHiddenFrom = (conversation: string, user: string) => `exists (
      select from conversation_marks hidden
      where hidden.user_id = ${user} and hidden.conversation_id = ${conversation}.id
        and hidden.hidden_at is not null
    )`
