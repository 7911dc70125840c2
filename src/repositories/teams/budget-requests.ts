import { type Kysely, sql } from 'kysely'
import type { RequestedBook, Schema } from '../../database/schema.ts'
import { type BudgetPeriod, toBigInt } from '../billing/budgets.ts'

export type { RequestedBook }

export type NewBudgetRequest = {
  id: string
  userId: string
  /** Null: about the user's own limit. */
  teamId: string | null
  book: RequestedBook
  period: BudgetPeriod
  wantedNanoUsd: bigint
  /** Sealed. */
  reason: Buffer
  until: Date
}

/** What a request is about, and whose it is. */
export type RequestedLimit = Pick<NewBudgetRequest, 'userId' | 'teamId' | 'book' | 'period'>

/** One that is not decided, and whose period is not over. */
export type OpenRequest = Omit<NewBudgetRequest, 'reason'> & {
  reason: Buffer | null
  username: string
  teamName: string | null
  createdAt: Date
}

export type RequestDecision = {
  state: 'approved' | 'denied'
  /** Null: the operator. */
  decidedBy: string | null
  /** Whose limits an approved one raises: a team's own, or those of the installation as well. */
  decidedAs: 'team' | 'installation'
  grantedNanoUsd: bigint | null
  until: Date
}

/** Whose raises a new limit ends. `userId` of a member's part: null for all without a cap of their own. */
export type RaisedBook = {
  teamId: string | null
  userId: string | null
  book: RequestedBook
  period: BudgetPeriod
  /** Only raises that the installation has granted. */
  isInstallations?: boolean
}

/** As the user's export has it. */
export type KeptRequest = OpenRequest & {
  state: 'open' | 'approved' | 'denied' | 'withdrawn'
  grantedNanoUsd: bigint | null
  decidedAt: Date | null
}

/** Users who ask for a higher limit. */
export class BudgetRequestRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  /** Until the transaction ends no other adds a request of the user's: they can be found and counted. */
  async lockOf(userId: string): Promise<void> {
    await sql`select pg_advisory_xact_lock(hashtextextended('budget requests of ' || ${userId}::text, 0))`.execute(
      this.#db,
    )
  }

  /** How many of the user's are open, and how many were made in the last 24 hours. */
  async countOf(userId: string): Promise<{ open: number; lately: number }> {
    const { rows } = await sql<{ open: number; lately: number }>`
      select (count(*) filter (where state = 'open' and until > now()))::integer as open,
        (count(*) filter (where created_at > now() - interval '1 day'))::integer as lately
      from budget_requests where user_id = ${userId}::uuid`.execute(this.#db)
    return rows[0] ?? { open: 0, lately: 0 }
  }

  /** Ended ones of the user's, once they are of no use to anybody. */
  async deleteOld(userId: string): Promise<void> {
    await sql`
      delete from budget_requests
      where user_id = ${userId}::uuid and until < now() - interval '90 days'`.execute(this.#db)
  }

  async insert({ wantedNanoUsd, ...request }: NewBudgetRequest): Promise<void> {
    await this.#db
      .insertInto('budgetRequests')
      .values({ ...request, wantedNanoUsd: String(wantedNanoUsd) })
      .execute()
  }

  async findOpen(id: string): Promise<OpenRequest | undefined> {
    const row = await this.#open().where('r.id', '=', id).executeTakeFirst()
    return row && toOpenRequest(row)
  }

  /** The newest of the user's about one book and period. */
  async findOpenAbout(about: RequestedLimit): Promise<OpenRequest | undefined> {
    const { userId, teamId, book, period } = about
    const row = await this.#open()
      .where('r.userId', '=', userId)
      .where('r.teamId', teamId === null ? 'is' : '=', teamId)
      .where('r.book', '=', book)
      .where('r.period', '=', period)
      .clearOrderBy()
      .orderBy('r.createdAt', 'desc')
      .executeTakeFirst()
    return row && toOpenRequest(row)
  }

  /** Of one member; null: of all. Oldest first, like those below. */
  async listOfTeam(teamId: string, userId: string | null, limit: number): Promise<OpenRequest[]> {
    const query = this.#open().where('r.teamId', '=', teamId).limit(limit)
    const rows = await (userId === null ? query : query.where('r.userId', '=', userId)).execute()
    return rows.map(toOpenRequest)
  }

  async listOf(userId: string, limit: number): Promise<OpenRequest[]> {
    const rows = await this.#open().where('r.userId', '=', userId).limit(limit).execute()
    return rows.map(toOpenRequest)
  }

  /** All of the user's that are kept, in every state. */
  async listKept(userId: string): Promise<KeptRequest[]> {
    const rows = await this.#all()
      .select(['r.state', 'r.grantedNanoUsd', 'r.decidedAt'])
      .where('r.userId', '=', userId)
      .execute()
    return rows.map(({ grantedNanoUsd, ...row }) => ({
      ...{ ...row, ...toOpenRequest(row) },
      grantedNanoUsd: toBigInt(grantedNanoUsd),
    }))
  }

  async listAll(limit: number): Promise<OpenRequest[]> {
    return (await this.#open().limit(limit).execute()).map(toOpenRequest)
  }

  /** About users' own limits. */
  async listWithoutTeam(limit: number): Promise<OpenRequest[]> {
    const rows = await this.#open().where('r.teamId', 'is', null).limit(limit).execute()
    return rows.map(toOpenRequest)
  }

  /** @returns false when it was decided or withdrawn meanwhile, or its period is over. */
  async decide(id: string, { grantedNanoUsd, ...decision }: RequestDecision): Promise<boolean> {
    const { numUpdatedRows } = await this.#db
      .updateTable('budgetRequests')
      .set({
        ...decision,
        grantedNanoUsd: grantedNanoUsd === null ? null : String(grantedNanoUsd),
        decidedAt: sql<Date>`now()`,
      })
      .where('id', '=', id)
      .where('state', '=', 'open')
      .where(sql<boolean>`until > now()`)
      .executeTakeFirst()
    return numUpdatedRows === 1n
  }

  /** An open one of the user's. */
  async withdraw(id: string, userId: string): Promise<{ teamId: string | null } | undefined> {
    return this.#withdrawn(userId).where('id', '=', id).returning('teamId').executeTakeFirst()
  }

  /** All open ones of the user's about one book and period. @returns their ids. */
  async withdrawAbout({ userId, teamId, book, period }: RequestedLimit): Promise<string[]> {
    const rows = await this.#withdrawn(userId)
      .where('teamId', teamId === null ? 'is' : '=', teamId)
      .where('book', '=', book)
      .where('period', '=', period)
      .returning('id')
      .execute()
    return rows.map(({ id }) => id)
  }

  /** Open ones of the user's, as an update. */
  #withdrawn(userId: string) {
    return this.#db
      .updateTable('budgetRequests')
      .set({ state: 'withdrawn', decidedAt: sql<Date>`now()` })
      .where('userId', '=', userId)
      .where('state', '=', 'open')
      .where(sql<boolean>`until > now()`)
  }

  /** Ends what a new limit replaces. */
  async endRaises(raised: RaisedBook): Promise<void> {
    const { teamId, userId, book, period, isInstallations = false } = raised
    const isOfDefault = book === 'member' && userId === null
    await sql`
      update budget_requests r set until = now()
      where r.state = 'approved' and r.until > now() and r.book = ${book} and r.period = ${period}
        and r.team_id is not distinct from ${teamId}::uuid
        and (not ${isInstallations}::boolean or r.decided_as = 'installation')
        and (${userId}::uuid is null or r.user_id = ${userId}::uuid)
        and (not ${isOfDefault}::boolean or not exists (
          select from member_caps c
          where c.team_id = r.team_id and c.user_id = r.user_id and c.period = r.period
        ))`.execute(this.#db)
  }

  /** Withdraws what a former member has asked for, and ends raises of their part. */
  async endOfMember(teamId: string, userId: string): Promise<void> {
    await sql`
      update budget_requests r set
        state = case r.state when 'open' then 'withdrawn' else r.state end,
        until = case when r.state = 'approved' then now() else r.until end
      where r.team_id = ${teamId}::uuid and r.user_id = ${userId}::uuid and r.until > now()
        and (r.state = 'open' or r.state = 'approved' and r.book = 'member')`.execute(this.#db)
  }

  /** Usernames of those who decide about the team's requests, by name. */
  async listTeamDeciders(teamId: string, limit: number): Promise<string[]> {
    const rows = await this.#db
      .selectFrom('teamMembers as m')
      .innerJoin('users as u', 'u.id', 'm.userId')
      .select('u.username')
      .where('m.teamId', '=', teamId)
      .where('m.role', 'in', ['owner', 'admin'])
      .where('u.suspendedAt', 'is', null)
      .orderBy('u.usernameKey')
      .limit(limit)
      .execute()
    return rows.map(({ username }) => username)
  }

  /** Usernames of the installation's admins: by role, or by one of these names in lower case. */
  async listAdmins(listed: readonly string[], limit: number): Promise<string[]> {
    const rows = await this.#db
      .selectFrom('users as u')
      .select('u.username')
      .where(sql<boolean>`(u.role = 'admin' or u.username_key = any(${listed}::text[]))`)
      .where('u.suspendedAt', 'is', null)
      .orderBy('u.usernameKey')
      .limit(limit)
      .execute()
    return rows.map(({ username }) => username)
  }

  #open() {
    return this.#all()
      .where('r.state', '=', 'open')
      .where(sql<boolean>`r.until > now()`)
      .where(
        sql<boolean>`(r.team_id is null or t.archived_at is null and exists (
          select from team_members m where m.team_id = r.team_id and m.user_id = r.user_id
        ))`,
      )
  }

  #all() {
    return this.#db
      .selectFrom('budgetRequests as r')
      .innerJoin('users as u', 'u.id', 'r.userId')
      .leftJoin('teams as t', 't.id', 'r.teamId')
      .select([
        ...(['r.id', 'r.userId', 'u.username', 'r.teamId', 't.name as teamName'] as const),
        ...(['r.book', 'r.period', 'r.wantedNanoUsd', 'r.reason', 'r.createdAt'] as const),
        sql<Date>`r.until`.as('until'),
      ])
      .orderBy('r.createdAt')
  }
}

const toOpenRequest = ({
  wantedNanoUsd,
  ...row
}: Omit<OpenRequest, 'wantedNanoUsd'> & { wantedNanoUsd: string }): OpenRequest => ({
  ...row,
  wantedNanoUsd: BigInt(wantedNanoUsd),
})
