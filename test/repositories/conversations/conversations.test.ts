import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { createRepositories } from '../../../src/repositories/index.ts'
import { insertUser } from '../../support/bare-turns.ts'
import { describeDatabases } from '../../support/databases.ts'
import { ownDatabase } from '../../support/own-database.ts'

describeDatabases('pages that are asked for at one moment', (kind) => {
  const database = ownDatabase(kind)

  /** Newest first. @returns their ids. */
  const insertConversations = async (userId: string, count: number) => {
    const values = Array.from({ length: count }, (_, index) => {
      const at = new Date(Date.UTC(2026, 10, 22) - index * 1000)
      const sealed = { dataKey: Buffer.alloc(1), title: Buffer.alloc(1) }
      return { id: randomUUID(), userId, ...sealed, model: 'm', createdAt: at, updatedAt: at }
    })
    await database.db.insertInto('conversations').values(values).execute()
    return values
  }

  test('are each their own: whose, from where, and how long', async () => {
    const { conversationLists } = createRepositories(database.db)
    const users = await Promise.all([1, 2, 3].map(() => insertUser(database.db)))
    const [ada, eve, newcomer] = users as [string, string, string]
    const [adas, eves] = [await insertConversations(ada, 7), await insertConversations(eve, 3)]
    const idsOf = (rows: { id: string }[]) => rows.map(({ id }) => id)
    const cursorAt = ({ id, updatedAt }: (typeof adas)[number]) => ({ id, updatedAt })
    const pages = await Promise.all([
      conversationLists.list(ada, 'mine', { limit: 4, offset: 0 }),
      conversationLists.list(eve, 'mine', { limit: 4, offset: 0 }),
      conversationLists.list(newcomer, 'mine', { limit: 4, offset: 0 }),
      conversationLists.list(ada, 'mine', { limit: 2, offset: 3 }),
      conversationLists.list(ada, 'mine', {
        limit: 9,
        offset: 0,
        after: cursorAt(adas[4] as (typeof adas)[number]),
      }),
      conversationLists.list(eve, 'mine', { limit: 9, offset: 5 }),
      conversationLists.list(randomUUID(), 'mine', { limit: 9, offset: 0 }),
    ])
    expect(pages.map(({ rows, total }) => ({ ids: idsOf(rows), total }))).toEqual([
      { ids: idsOf(adas.slice(0, 4)), total: 7 },
      { ids: idsOf(eves), total: 3 },
      { ids: [], total: 0 },
      { ids: idsOf(adas.slice(3, 5)), total: 7 },
      { ids: idsOf(adas.slice(5)), total: 7 },
      { ids: [], total: 3 },
      { ids: [], total: 0 },
    ])
    expect(Object.keys(pages[0]?.rows[0] ?? {})).not.toContain('place')
  })
})
