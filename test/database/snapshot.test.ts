import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { gunzipSync } from 'node:zlib'
import { beforeAll, expect, test } from 'vitest'
import { tarEntries } from '../../src/database/embedded/tar.ts'
import { pendingMigrations } from '../../src/database/migrations/migrate.ts'
import { openDatabase } from '../../src/database/open.ts'
import { runChild } from '../support/child-process.ts'
import { firstStart } from '../support/databases.ts'

const SNAPSHOT = 'node_modules/.cache/claude-api-gateway/embedded-snapshot.tar.gz'

beforeAll(async () => {
  await (await firstStart()).drop()
})

test('the first start finds the schema there already', async () => {
  const fresh = await firstStart()
  const database = await openDatabase(fresh)
  expect(await pendingMigrations(database.db)).toEqual([])
  await database.close()
  await fresh.drop()
})

test('a first start killed at any moment leaves a folder that opens', async () => {
  for (const afterMs of [50, 400]) {
    const fresh = await firstStart()
    const child = runChild(new URL('children/insert-forever.ts', import.meta.url), fresh.dataDir)
    while (!(await readdir(fresh.dataDir)).some((name) => name.startsWith('postgres'))) {
      await sleep(10)
    }
    await sleep(afterMs)
    child.process.kill('SIGKILL')
    await child.exit
    const database = await openDatabase(fresh)
    expect(await pendingMigrations(database.db)).toEqual([])
    await database.close()
    await fresh.drop()
  }
})

test('what a killed start left behind is removed', async () => {
  const fresh = await firstStart()
  const left = join(fresh.dataDir, 'postgres.new-killed')
  await mkdir(left)
  await writeFile(join(left, 'PG_VERSION'), '')
  const database = await openDatabase(fresh)
  await database.close()
  expect((await readdir(fresh.dataDir)).sort()).toEqual(['gateway.lock', 'postgres', 'reserve'])
  await fresh.drop()
})

test('the archive is read to its end, and refused when it is cut short', async () => {
  const tar = gunzipSync(await readFile(SNAPSHOT))
  const entries = [...tarEntries(tar)]
  const version = entries.find(({ name }) => name === '/PG_VERSION')
  expect(version?.bytes.toString()).toBe('18\n')
  expect(entries.filter(({ isFolder }) => isFolder).length).toBeGreaterThan(10)
  expect(() => [...tarEntries(tar.subarray(0, 100_000))]).toThrow('cut short')
  const foreign = Buffer.from(tar.subarray(0, 1024))
  foreign[156] = '2'.charCodeAt(0) // a symbolic link
  expect(() => [...tarEntries(foreign)]).toThrow('unexpected entry')
})
