/** What a user's export says of their part in teams and in conversations of others. */

import type { HeavyReads } from '../../concurrency/heavy-reads.ts'
import type {
  ElsewhereMessage,
  OwnEvent,
  ParticipationLink,
  ParticipationShare,
} from '../../repositories/accounts/participation.ts'
import type { Repositories } from '../../repositories/index.ts'
import { textOf, type Vault } from '../keys/vault.ts'
import { type Elements, elementsOf } from './paged-elements.ts'

type Deps = {
  participation: Repositories['participation']
  vault: Vault
  heavyReads: HeavyReads
}

const ROWS_PER_PAGE = 500

/** The members of a JSON object, each preceded by a comma. */
export async function* participationOf({ participation, vault, heavyReads }: Deps, userId: string) {
  const list = <Row extends { id: string }>(
    name: string,
    read: (page: { afterId: string | undefined; limit: number }) => Promise<Row[]>,
    { toElement, bytesOf }: Omit<Elements<Row>, 'read'>,
  ) =>
    named(name, {
      read: (last) => read({ afterId: last?.id, limit: ROWS_PER_PAGE }),
      toElement,
      ...(bytesOf && { bytesOf }),
    })
  async function* named<Row>(name: string, elements: Elements<Row>) {
    yield `,${JSON.stringify(name)}:[`
    yield* elementsOf(heavyReads, userId, elements)
    yield ']'
  }
  yield* list('teams', (page) => participation.listTeams(userId, page), { toElement: toTeam })
  yield* list('invitations_made', (page) => participation.listInvitations(userId, page), {
    toElement: toInvitation,
  })
  yield* list('shares_given', (page) => participation.listSharesGiven(userId, page), {
    toElement: toShare,
  })
  yield* list('shares_received', (page) => participation.listSharesReceived(userId, page), {
    toElement: toShare,
  })
  yield* list('links', (page) => participation.listLinks(userId, page), {
    toElement: (link) => toLink(vault, link),
  })
  yield* list('messages_elsewhere', (page) => participation.listMessagesElsewhere(userId, page), {
    toElement: (message) => toMessage(vault, message),
    bytesOf: ({ content }) => content.length,
  })
  yield* named('audit_events', {
    read: (last: OwnEvent | undefined) => participation.listEvents(userId, last, ROWS_PER_PAGE),
    toElement: toEvent,
  })
}

type Row<Name extends 'listInvitations' | 'listTeams'> = Awaited<
  ReturnType<Repositories['participation'][Name]>
>[number]

const toTeam = ({ id, name, role, addedAt, archivedAt }: Row<'listTeams'>) => ({
  team_id: id,
  name,
  role,
  since: addedAt,
  archived_at: archivedAt,
})

const toInvitation = (row: Row<'listInvitations'>) => ({
  id: row.id,
  team_id: row.teamId,
  role: row.role,
  only_for: row.onlyFor,
  created_at: row.createdAt,
  expires_at: row.expiresAt,
  used_at: row.usedAt,
  revoked_at: row.revokedAt,
})

const toShare = (row: ParticipationShare) => ({
  id: row.id,
  conversation_id: row.conversationId,
  owner: row.owner,
  with: row.recipient ?? (row.team === null ? 'everybody' : { team: row.team }),
  role: row.role,
  from_position: row.fromPosition,
  created_at: row.createdAt,
  accepted_at: row.acceptedAt,
  expires_at: row.expiresAt,
})

const toLink = (vault: Vault, row: ParticipationLink) => ({
  id: row.id,
  conversation_id: row.conversationId,
  readers: row.audience,
  team: row.team,
  label: row.label && vault.openConversation(row.ref).openLinkLabel(row.id, row.label),
  through_position: row.throughPosition,
  views: row.views,
  created_at: row.createdAt,
  expires_at: row.expiresAt,
  revoked_at: row.revokedAt,
})

const toMessage = (vault: Vault, row: ElsewhereMessage) => ({
  id: row.id,
  conversation_id: row.conversationId,
  content: textOf(vault.openConversation(row.ref).openContent(row.id, row.content)),
  status: row.status,
  tag: row.tag,
  created_at: row.createdAt,
})

const toEvent = (row: OwnEvent) => ({
  at: row.at,
  action: row.action,
  by: row.isOwn ? 'you' : row.actorKind,
  session_id: row.sessionId,
  network: row.addressPrefix,
  target_kind: row.targetKind,
  target_id: row.targetId,
  detail: JSON.parse(row.detail),
})
