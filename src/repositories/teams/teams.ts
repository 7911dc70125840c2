import { type Insertable, type Kysely, sql } from 'kysely'
import type { Schema, TeamRole, TeamsTable } from '../../database/schema.ts'
import { violatedConstraint } from '../constraints.ts'

export type { TeamRole }

export type NewTeam = Pick<Insertable<TeamsTable>, 'id' | 'name' | 'nameKey' | 'dataKey'> & {
  /** Null: the operator. */
  createdBy: string | null
}

/** What names a team: its id, or its name as a key. */
export type TeamRef = { id: string } | { nameKey: string }

/** `archivedAt`: null while it is in use. */
export type Team = { id: string; name: string; archivedAt: Date | null }

/** A team of the user's. `members`: how many. */
export type ListedTeam = Team & {
  role: TeamRole
  createdAt: Date
  members: number
  sharesFrom: TeamSharesFrom
  onDeparture: TeamOnDeparture
} & TeamPayment

/** Who pays in conversations that belong to it, to begin with. */
export type TeamPayment = { defaultPayer: 'sender' | 'team'; payers: 'any' | 'team_only' }

/** Who may share conversations with it. */
export type TeamSharesFrom = 'members' | 'anyone' | 'nobody'

/** What becomes of conversations that belong to it when their owner deletes their account. */
export type TeamOnDeparture = 'keep' | 'delete'

export type TeamSettings = { sharesFrom?: TeamSharesFrom; onDeparture?: TeamOnDeparture }

/** More than a user can be in, without those that were archived long ago. */
const MOST_LISTED = 200
/** In a row of the list of all teams. */
const MOST_OWNERS = 20

export class TeamRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  /** A transaction in which the name was taken can only be rolled back. */
  async insert(team: NewTeam): Promise<'inserted' | 'name_taken'> {
    return namesOnce(this.#db.insertInto('teams').values(team).execute())
  }

  /** A transaction in which the name was taken can only be rolled back. */
  async rename(id: string, name: string, nameKey: string): Promise<'inserted' | 'name_taken'> {
    return namesOnce(
      this.#db.updateTable('teams').set({ name, nameKey }).where('id', '=', id).execute(),
    )
  }

  /** What is left out stays. */
  async change(id: string, settings: TeamSettings): Promise<void> {
    await this.#db.updateTable('teams').set(settings).where('id', '=', id).execute()
  }

  async setPayment(id: string, payment: TeamPayment): Promise<void> {
    await this.#db.updateTable('teams').set(payment).where('id', '=', id).execute()
  }

  async archive(id: string): Promise<void> {
    await this.#db
      .updateTable('teams')
      .set({ archivedAt: sql<Date>`now()` })
      .where('id', '=', id)
      .execute()
  }

  /**
   * Locks a team until the transaction ends: changes of its members come one after the other,
   * and turns that its members begin by their membership wait, or came before. Lock it before any
   * row of its members.
   *
   * @param memberId whose team it has to be; their role may have changed while this waited. Null:
   *   any team.
   */
  async lock(ref: TeamRef, memberId: string | null): Promise<Team | undefined> {
    const { rows } = await sql<Team>`
      select t.id, t.name, t.archived_at
      from teams t
      where ${named(ref)} and (${memberId}::uuid is null or exists (
        select from team_members m where m.team_id = t.id and m.user_id = ${memberId}::uuid
      ))
      for no key update`.execute(this.#db)
    return rows[0]
  }

  /**
   * Locks the teams in use that the user owns, until the transaction ends.
   *
   * @returns the names of those that no other owner who can sign in would be left in.
   */
  async lockOwnedAlone(userId: string): Promise<string[]> {
    await sql`
      select t.id from teams t
      where t.archived_at is null and t.id in (
        select m.team_id from team_members m
        where m.user_id = ${userId}::uuid and m.role = 'owner'
      )
      order by t.id
      for no key update`.execute(this.#db)
    const { rows } = await sql<{ name: string }>`
      select t.name
      from team_members own
      join teams t on t.id = own.team_id and t.archived_at is null
      where own.user_id = ${userId}::uuid and own.role = 'owner' and not exists (
        select from team_members m
        join users u on u.id = m.user_id and u.suspended_at is null
        where m.team_id = t.id and m.role = 'owner' and m.user_id <> own.user_id
      )
      order by t.name_key`.execute(this.#db)
    return rows.map(({ name }) => name)
  }

  /** A team of the user's. */
  async findOwn(ref: TeamRef, userId: string): Promise<ListedTeam | undefined> {
    const [team] = await this.#list(userId, sql`and ${named(ref)}`)
    return team
  }

  /** A team that takes conversations of the user's. */
  async findRecipient(
    ref: TeamRef,
    userId: string,
  ): Promise<{ id: string; name: string } | undefined> {
    const { rows } = await sql<{ id: string; name: string }>`
      select t.id, t.name
      from teams t
      where ${named(ref)} and t.archived_at is null and (
        t.shares_from = 'anyone' or t.shares_from = 'members' and exists (
          select from team_members m where m.team_id = t.id and m.user_id = ${userId}::uuid
        )
      )`.execute(this.#db)
    return rows[0]
  }

  /** The user's teams, by name; archived ones last. */
  async listOwn(userId: string): Promise<ListedTeam[]> {
    return this.#list(userId, sql``)
  }

  async findAny(ref: TeamRef): Promise<Team | undefined> {
    const { rows } = await sql<Team>`
      select t.id, t.name, t.archived_at from teams t where ${named(ref)}`.execute(this.#db)
    return rows[0]
  }

  async find(id: string) {
    const { rows } = await sql<Omit<ListedTeam, 'role'>>`
      select t.id, t.name, t.archived_at, t.created_at, t.shares_from, t.on_departure,
        t.default_payer, t.payers,
        (select count(*)::integer from team_members m where m.team_id = t.id) as members
      from teams t where t.id = ${id}::uuid`.execute(this.#db)
    return rows[0]
  }

  /** By id. */
  async namesOf(ids: readonly string[]): Promise<Map<string, string>> {
    if (ids.length === 0) return new Map()
    const rows = await this.#db
      .selectFrom('teams')
      .select(['id', 'name'])
      .where('id', 'in', [...ids])
      .execute()
    return new Map(rows.map(({ id, name }) => [id, name]))
  }

  /** All teams by name, after `afterKey`. `owners`: usernames. */
  async listAll(afterKey: string, limit: number) {
    const { rows } = await sql<
      Team & { createdAt: Date; members: number; owners: string[]; sharesFrom: TeamSharesFrom }
    >`
      select t.id, t.name, t.archived_at, t.created_at, t.shares_from,
        (select count(*)::integer from team_members m where m.team_id = t.id) as members,
        array(
          select u.username from team_members m join users u on u.id = m.user_id
          where m.team_id = t.id and m.role = 'owner'
          order by u.username_key
          limit ${MOST_OWNERS}
        ) as owners
      from teams t
      where t.name_key > ${afterKey}
      order by t.name_key
      limit ${limit}`.execute(this.#db)
    return rows
  }

  async #list(userId: string, which: ReturnType<typeof sql>): Promise<ListedTeam[]> {
    const { rows } = await sql<ListedTeam>`
      select t.id, t.name, t.archived_at, t.created_at, t.shares_from, t.on_departure,
        t.default_payer, t.payers,
        own.role,
        (select count(*)::integer from team_members m where m.team_id = t.id) as members
      from team_members own
      join teams t on t.id = own.team_id
      where own.user_id = ${userId}::uuid ${which}
      order by t.archived_at is not null, t.name_key
      limit ${MOST_LISTED}`.execute(this.#db)
    return rows
  }
}

const named = (ref: TeamRef) =>
  'id' in ref ? sql`t.id = ${ref.id}::uuid` : sql`t.name_key = ${ref.nameKey}`

async function namesOnce(writing: Promise<unknown>): Promise<'inserted' | 'name_taken'> {
  try {
    await writing
    return 'inserted'
  } catch (error) {
    if (violatedConstraint(error) === 'teams_name_unique') return 'name_taken'
    throw error
  }
}
