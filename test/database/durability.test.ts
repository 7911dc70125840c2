import { sql } from 'kysely'
import { expect, test } from 'vitest'
import { openDatabase } from '../../src/database/open.ts'
import { nextLine, runChild } from '../support/child-process.ts'
import { freshDatabaseOptions } from '../support/databases.ts'

test('kill -9 loses nothing the embedded database had acknowledged', async () => {
  const fresh = await freshDatabaseOptions('embedded')
  let acknowledged = 0
  for (const goal of [50, 120]) {
    const child = runChild(new URL('children/insert-forever.ts', import.meta.url), fresh.dataDir)
    while ((await nextLine(child)) !== String(goal)) acknowledged += 1
    acknowledged += 1
    child.process.kill('SIGKILL')
    for await (const _line of { [Symbol.asyncIterator]: () => child.lines }) acknowledged += 1
    expect(await child.exit).toBe('SIGKILL')

    const database = await openDatabase(fresh)
    const { rows } = await sql<{ count: string }>`select count(*) from numbers`.execute(database.db)
    const kept = Number(rows[0]?.count)
    // A commit that was not reported any more may survive, as in any database.
    expect(kept - acknowledged).toBeOneOf([0, 1])
    acknowledged = kept
    await database.close()
  }
  await fresh.drop()
})
