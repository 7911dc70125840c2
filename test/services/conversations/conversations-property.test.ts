/**
 * Three people send, edit, branch, archive, delete, share, accept, revoke and give away in any order. After each
 * step everybody reads what a model of a few lines says, and nothing else.
 */

import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { newId } from '../../../src/crypto/random.ts'
import { describeDatabases } from '../../support/databases.ts'
import { startApp, type TestApp, type TestClient, type TestUser } from '../../support/start-app.ts'
import { callerOf } from '../../support/teams.ts'

const PEOPLE = 3
const RUNS = 5

/** Which conversation, which message and which of the others is meant: numbers among those there are. */
type Step = { by: number; act: Act; at: number; message: number; to: number }
type Act = (typeof ACTS)[number]
const ACTS = [
  ...(['send', 'send', 'edit', 'edit', 'branch', 'archive', 'begin', 'delete'] as const),
  ...(['share', 'share', 'share', 'accept', 'revoke', 'transfer', 'transfer'] as const),
]

const anyStep: fc.Arbitrary<Step> = fc.record({
  by: fc.nat(PEOPLE - 1),
  act: fc.constantFrom(...ACTS),
  at: fc.nat(9),
  message: fc.nat(9),
  to: fc.nat(PEOPLE - 2),
})

type Role = 'owner' | 'contributor' | 'viewer'

/** Claude answers with what it was asked, so a turn is its text, twice. */
type Modelled = {
  owner: number
  turns: string[]
  origin: string | null
  /** By whom, each in their own lists. */
  archivedBy: Set<number>
  shares: Map<number, { id: string; role: Exclude<Role, 'owner'>; isAccepted: boolean }>
}
type Model = Map<string, Modelled>

const begun = (owner: number, turns: string[], origin: string | null): Modelled => ({
  owner,
  turns,
  origin,
  archivedBy: new Set(),
  shares: new Map(),
})

/** Undefined: for them it does not exist. */
function roleOf({ owner, shares }: Modelled, person: number): Role | undefined {
  const share = shares.get(person)
  return owner === person ? 'owner' : share?.isAccepted ? share.role : undefined
}

const partakers = (known: Modelled) => [known.owner, ...known.shares.keys()]

/** What is answered to somebody whose role is too small. */
const refusal = (role: Role | undefined, needed: readonly (Role | undefined)[]) =>
  needed.includes(role) ? undefined : role === undefined ? 'not_found' : 'forbidden'

const READERS = ['owner', 'contributor', 'viewer'] as const
const SENDERS = ['owner', 'contributor'] as const
const OWNERS = ['owner'] as const

describeDatabases('conversations of three people', (kind) => {
  let app: TestApp
  let clients: TestClient[]
  let users: TestUser[]

  beforeAll(async () => {
    app = await startApp({ kind })
  })
  afterAll(() => app.close())

  const newPeople = async () => {
    users = await Promise.all(Array.from({ length: PEOPLE }, () => app.register()))
    clients = await Promise.all(
      users.map(({ accessToken }, at) =>
        app.connect(at % 2 === 0 ? 'modern' : 'legacy', accessToken),
      ),
    )
  }
  const call = async (by: number, tool: string, args: Record<string, unknown>) =>
    (await (clients[by] as TestClient).call(tool, args)).structured
  const historyOf = async (by: number, conversation_id: string) =>
    call(by, 'get_conversation_history', { conversation_id, limit: 1000 })
  const messageIds = async (by: number, id: string): Promise<string[]> =>
    (await historyOf(by, id)).messages?.map((row: { id: string }) => row.id) ?? []

  /** Takes the step for real and in the model. */
  async function take({ act, at, message, to, ...step }: Step, model: Model, words: () => string) {
    const id = [...model.keys()][at % Math.max(1, model.size)]
    const known = id === undefined ? undefined : model.get(id)
    if (act === 'begin' || id === undefined || known === undefined) {
      const text = words()
      const { data } = await call(step.by, 'send_message', { message: text })
      model.set(data.conversation_id, begun(step.by, [text], null))
      return
    }
    // Whoever has no part in it can only fail, which is tried now and then.
    const part = ['share', 'transfer'].includes(act) ? [known.owner] : partakers(known)
    const by = message % 4 === 0 ? step.by : (part[step.by % part.length] ?? step.by)
    const role = roleOf(known, by)
    const turn = message % Math.max(1, known.turns.length)
    const ids = await messageIds(known.owner, id)
    const other = (by + 1 + to) % PEOPLE
    const text = words()
    /** Only whoever it is offered to can. */
    const accept = async (person: number) => {
      for (const [recipient, share] of known.shares) {
        const accepted = app.app.repositories.grants.accept(share.id, users[person]?.userId ?? '')
        expect(await accepted).toBe(person === recipient ? id : undefined)
        if (person === recipient) share.isAccepted = true
      }
    }
    const acts: Record<Exclude<Act, 'begin'>, () => Promise<void>> = {
      async send() {
        const sent = await call(by, 'send_message', { conversation_id: id, message: text })
        const code = refusal(role, SENDERS)
        if (code === undefined) {
          known.turns = [...known.turns, text]
          known.archivedBy.delete(by)
        }
        expect(sent.error?.code).toBe(code)
      },
      async edit() {
        const edit_message_id = ids[turn * 2] ?? newId()
        const args = { conversation_id: id, edit_message_id, message: text }
        const sent = await call(by, 'send_message', args)
        const code = refusal(role, READERS)
        expect(sent.error?.code).toBe(code)
        const turns = [...known.turns.slice(0, turn), text]
        if (code === undefined) model.set(sent.data.conversation_id, begun(by, turns, id))
      },
      async branch() {
        const through_message_id = ids[turn * 2 + (message % 2)] ?? newId()
        const args = { conversation_id: id, through_message_id }
        const made = await call(by, 'branch_conversation', args)
        const code = refusal(role, READERS)
        expect(made.error?.code).toBe(code)
        const turns = known.turns.slice(0, turn + 1)
        if (code === undefined) model.set(made.data.conversation_id, begun(by, turns, id))
      },
      async archive() {
        const archived = message % 2 === 0
        const changed = await call(by, 'update_conversation', { conversation_id: id, archived })
        const code = refusal(role, READERS)
        expect(changed.error?.code).toBe(code)
        if (code === undefined) known.archivedBy[archived ? 'add' : 'delete'](by)
      },
      async delete() {
        const removed = await call(by, 'delete_conversation', { conversation_id: id })
        const code = refusal(role, OWNERS)
        expect(removed.error?.code).toBe(code)
        if (code === undefined) model.delete(id)
      },
      async share() {
        const given = message % 2 === 0 ? 'viewer' : 'contributor'
        const shared = await call(by, 'share_conversation', {
          conversation_id: id,
          with: { username: users[other]?.username },
          role: given,
        })
        const code = refusal(role, OWNERS)
        expect(shared.error?.code).toBe(code)
        const isAccepted = known.shares.get(other)?.isAccepted ?? false
        if (code === undefined) {
          const { share_id } = shared.data
          known.shares.set(other, { id: share_id, role: given, isAccepted })
          if (message % 3 > 0) await accept(other)
        }
      },
      accept: () => accept(by),
      /** Of one that `by` gave or was given; of any other it is refused. */
      async revoke() {
        const [person, share] =
          known.shares.has(other) || known.owner === by
            ? [other, known.shares.get(other)]
            : [by, known.shares.get(by)]
        const ended = await call(by, 'revoke_share', { share_id: share?.id ?? newId() })
        const mayEnd = share !== undefined && (known.owner === by || person === by)
        expect(ended.error?.code).toBe(mayEnd ? undefined : 'not_found')
        if (mayEnd) known.shares.delete(person)
      },
      async transfer() {
        const heirs = [...known.shares].filter(([, { role, isAccepted }]) => {
          return role === 'contributor' && isAccepted
        })
        const [heir, share = known.shares.get(other)] = heirs[0] ?? [other]
        const giving = app.app.services.transfers
          .transfer(await callerOf(app, users[by] as TestUser), share?.id ?? newId())
          .then(() => undefined)
        const code = await giving.catch((error) => error.code)
        if (share === undefined || known.owner !== by) return expect(code).toBe('not_found')
        expect(code).toBe(heirs.length > 0 ? undefined : 'share_refused')
        if (heirs.length === 0) return
        known.owner = heir
        known.shares.delete(heir)
        const { given } = (await call(heir, 'get_shares', { conversation_id: id })).data
        const [own] = given.filter((row: { with: string }) => row.with === users[by]?.username)
        known.shares.set(by, { id: own.share_id, role: 'contributor', isAccepted: true })
      },
    }
    await acts[act]()
  }

  /** The ids that the model has in a list of the reader. */
  const listed = (model: Model, reader: number) => {
    const of = (isWanted: (known: Modelled, role: Role) => boolean) =>
      [...model].filter(([, known]) => {
        const role = roleOf(known, reader)
        return role !== undefined && isWanted(known, role)
      })
    const isArchived = ({ archivedBy }: Modelled) => archivedBy.has(reader)
    return {
      all: of(() => true),
      mine: of((known, role) => role === 'owner' && !isArchived(known)),
      shared: of((known, role) => role !== 'owner' && !isArchived(known)),
      archived: of(isArchived),
    }
  }

  async function compare(model: Model, gone: readonly string[]) {
    for (let reader = 0; reader < PEOPLE; reader++) {
      const mayRead = (id: string | null) => {
        const known = id === null ? undefined : model.get(id)
        return known !== undefined && roleOf(known, reader) !== undefined
      }
      for (const [filter, wanted] of Object.entries(listed(model, reader))) {
        const { conversations, total } = await call(reader, 'get_conversations', { filter })
        const rows = conversations as {
          id: string
          role: Role
          branched_from: { conversation_id: string } | null
        }[]
        expect(total).toBe(wanted.length)
        expect(
          rows.map((row) => [row.id, row.role, row.branched_from?.conversation_id ?? null]).sort(),
        ).toEqual(
          wanted
            .map(([id, known]) => {
              const origin = mayRead(known.origin) ? known.origin : null
              return [id, roleOf(known, reader), origin]
            })
            .sort(),
        )
      }
      for (const [id, { turns }] of model) {
        const { messages, error } = await historyOf(reader, id)
        if (!mayRead(id)) expect(error.code).toBe('not_found')
        else
          expect(messages.map(({ content }: { content: string }) => content)).toEqual(
            turns.flatMap((text) => [text, text]),
          )
      }
      for (const id of gone) expect((await historyOf(reader, id)).error.code).toBe('not_found')
    }
    const { hits } = (await call(0, 'search_conversations', { query: 'word', limit: 100 })).data
    const found = hits.map(({ conversation_id }: { conversation_id: string }) => conversation_id)
    const readable = listed(model, 0).all.map(([id]) => id)
    expect([...new Set(found)].sort()).toEqual(readable.sort())
  }

  test('everybody reads what the model says, and nothing else', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(anyStep, { minLength: 6, maxLength: 16 }), async (steps) => {
        await newPeople()
        const model: Model = new Map()
        const ever = new Set<string>()
        let words = 0
        for (const step of steps) {
          await take(step, model, () => `word ${words++}`)
          for (const id of model.keys()) ever.add(id)
          await compare(
            model,
            [...ever].filter((id) => !model.has(id)),
          )
        }
        expect(await app.app.repositories.ledgerAudit.listDrift()).toEqual([])
      }),
      { numRuns: RUNS },
    )
  })
})
