import { type Kysely, sql } from 'kysely'
import type { InstallationRole, Schema, TeamRole } from '../../database/schema.ts'
import { byDatabaseClock } from '../database-time.ts'

export type { InstallationRole }

export type NewInvitation = {
  id: string
  tokenHash: Buffer
  /** Both null: to the gateway alone. */
  teamId: string | null
  teamRole: TeamRole | null
  installationRole: InstallationRole
  /** The only name, and the only address, that the account may have; null: any. */
  usernameKey: string | null
  emailKey: string | null
  authority: 'team' | 'installation'
  /** Null: the operator, or the gateway. */
  createdBy: string | null
  expiresAt: Date
}

/** One that can still be accepted. `invitedBy`: username; null: the operator, or a former user. */
export type OpenInvitation = {
  id: string
  teamId: string | null
  team: string | null
  /** What the team does with conversations of those who leave. Null: to no team. */
  onDeparture: 'keep' | 'delete' | null
  teamRole: TeamRole | null
  installationRole: InstallationRole
  usernameKey: string | null
  emailKey: string | null
  /** By the operator, or by the gateway. */
  isOperators: boolean
  invitedBy: string | null
  createdAt: Date
  expiresAt: Date
}

/** Who accepts. `emailKey`: null for an account that was not made with the invitation. */
export type Invitee = { userId: string; usernameKey: string; emailKey: string | null }

export type Accepted = {
  id: string
  teamId: string | null
  teamRole: TeamRole | null
  installationRole: InstallationRole
}

/** Whether the inviter of `i` may still give its role. */
const IS_STILL_MEANT = `(i.authority = 'installation' or exists (
      select from team_members inviter
      join users u on u.id = inviter.user_id and u.suspended_at is null
      where inviter.team_id = i.team_id and inviter.user_id = i.created_by
        and (inviter.role = 'owner' or inviter.role = 'admin' and i.team_role = 'member')
    ))`

const IS_OPEN = sql.raw(`i.used_at is null and i.revoked_at is null and i.expires_at > now()
    and (i.team_id is null or exists (
      select from teams t where t.id = i.team_id and t.archived_at is null
    ))
    and ${IS_STILL_MEANT}`)

export class InvitationRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  async insert(invitation: NewInvitation): Promise<void> {
    const expiresAt = byDatabaseClock(invitation.expiresAt)
    await this.#db
      .insertInto('invitations')
      .values({ ...invitation, expiresAt })
      .execute()
  }

  /** Those of a team (null: to the gateway alone) that can still be accepted, newest first. */
  async listOpen(teamId: string | null, limit: number): Promise<OpenInvitation[]> {
    return this.#open(sql`i.team_id is not distinct from ${teamId}::uuid`, limit)
  }

  /** Changes nothing. */
  async findOpen(tokenHash: Buffer): Promise<OpenInvitation | undefined> {
    const [found] = await this.#open(sql`i.token_hash = ${tokenHash}`, 1)
    return found
  }

  /** @returns false unless it is the team's (null: to the gateway alone) and was open. */
  async revoke(id: string, teamId: string | null): Promise<boolean> {
    const { rows } = await sql`
      update invitations i set revoked_at = now()
      where i.id = ${id}::uuid and i.team_id is not distinct from ${teamId}::uuid and ${IS_OPEN}
      returning i.id`.execute(this.#db)
    return rows.length === 1
  }

  /**
   * Uses an invitation up and lets its user into the team, or neither. Of concurrent uses only one
   * succeeds. The team is locked (teams.ts).
   *
   * @returns undefined when it is used, ended, or not for this user, when the user is in the team
   *   already, and when it does not let anybody into a team but the account is not new.
   */
  async use(tokenHash: Buffer, { userId, usernameKey, emailKey }: Invitee) {
    const { rows } = await sql<Accepted>`
      with taken as (
        update invitations i set used_by = ${userId}::uuid, used_at = now()
        where i.token_hash = ${tokenHash} and ${IS_OPEN}
          and i.created_by is distinct from ${userId}::uuid
          and (i.username_key is null or i.username_key = ${usernameKey})
          and (i.email_key is null or i.email_key = ${emailKey}::text)
          and (i.team_id is not null or ${emailKey}::text is not null)
          and not exists (
            select from team_members m where m.team_id = i.team_id and m.user_id = ${userId}::uuid
          )
        returning i.*
      ), joined as (
        insert into team_members (team_id, user_id, role, added_by)
        select team_id, ${userId}::uuid, team_role, created_by from taken where team_id is not null
      )
      select id, team_id, team_role, installation_role from taken`.execute(this.#db)
    return rows[0]
  }

  /** Ends all but the newest of those that the gateway made for a name. */
  async revokeOlder(usernameKey: string, most: number): Promise<void> {
    await sql`
      update invitations set revoked_at = now()
      where id in (
        select i.id from invitations i
        where i.username_key = ${usernameKey} and i.team_id is null and i.created_by is null
          and ${IS_OPEN}
        order by i.created_at desc, i.id desc
        offset ${most}
      )`.execute(this.#db)
  }

  /** Ends what a user made as an admin of the installation. */
  async revokeByAdmin(userId: string): Promise<void> {
    await sql`
      update invitations i set revoked_at = now()
      where i.created_by = ${userId}::uuid and i.authority = 'installation' and ${IS_OPEN}`.execute(
      this.#db,
    )
  }

  /** Those that ended more than a week ago. */
  async deleteOld(): Promise<void> {
    await sql`
      delete from invitations
      where least(expires_at, used_at, revoked_at) < now() - interval '7 days'`.execute(this.#db)
  }

  async #open(which: ReturnType<typeof sql>, limit: number): Promise<OpenInvitation[]> {
    const { rows } = await sql<OpenInvitation>`
      select i.id, i.team_id, team.name as team, team.on_departure, i.team_role, i.installation_role, i.username_key,
        i.email_key, inviter.username as invited_by,
        i.authority = 'installation' and i.created_by is null as is_operators, i.created_at, i.expires_at
      from invitations i
      left join teams team on team.id = i.team_id
      left join users inviter on inviter.id = i.created_by
      where ${which} and ${IS_OPEN}
      order by i.created_at desc, i.id desc
      limit ${limit}`.execute(this.#db)
    return rows
  }
}
