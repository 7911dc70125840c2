/** The embedded database on a disk of a few megabytes: an answer that ends on a full one is kept, and the process goes on. */

import { execFile } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, statfsSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { sql } from 'kysely'
import { describe, expect, onTestFinished, test } from 'vitest'
import { openDatabase } from '../../../../src/database/open.ts'
import { runChild } from '../../../support/child-process.ts'
import { freshDatabaseOptions } from '../../../support/databases.ts'
import { isGiven } from '../../../support/left-out.ts'
import { scratchFolder } from '../../../support/scratch-folder.ts'
import { startApp } from '../../../support/start-app.ts'

const run = promisify(execFile)

/** A disk in memory; undefined where this process may not make one. */
async function smallDisk(megabytes: number): Promise<string | undefined> {
  const folder = mkdtempSync(join(scratchFolder(), 'small-disk-'))
  try {
    await run('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'none', folder])
  } catch {
    rmSync(folder, { recursive: true })
    return undefined
  }
  return folder
}

async function removeDisk(folder: string): Promise<void> {
  await run('umount', ['-l', folder])
  rmSync(folder, { recursive: true })
}

/** The data folder of a first start, on a disk of its own that goes with the test. */
async function dataDirOnSmallDisk(megabytes: number): Promise<string> {
  const folder = (await smallDisk(megabytes)) as string
  onTestFinished(() => removeDisk(folder))
  const fresh = await freshDatabaseOptions('embedded')
  await run('cp', ['-R', join(fresh.dataDir, 'postgres'), folder])
  await fresh.drop()
  return folder
}

const trial = await smallDisk(1)
if (trial) await removeDisk(trial)
const hasDisks = isGiven(trial !== undefined, {
  leavesOut: 'a full disk',
  because: 'this process may not mount one',
})

const FILL = new URL('../../children/fill-the-log.ts', import.meta.url)
/** Of a process that goes round in circles. */
const HANGS_AFTER_MS = 90_000

async function fillWhileLogging(folder: string, kilobytes: number): Promise<string[]> {
  const child = runChild(FILL, folder, String(kilobytes))
  const timer = setTimeout(() => child.process.kill('SIGKILL'), HANGS_AFTER_MS)
  const lines: string[] = []
  for (let line = await child.lines.next(); !line.done; line = await child.lines.next()) {
    lines.push(line.value)
  }
  clearTimeout(timer)
  expect(await child.exit).toBe(0)
  return lines
}

async function numbersIn(dataDir: string): Promise<number[]> {
  const { db, recovery, close } = await openDatabase({ dataDir })
  const { rows } = await sql<{ n: number }>`select n from numbers order by n`.execute(db)
  await close()
  expect(recovery).toBeUndefined()
  return rows.map(({ n }) => n)
}

describe.runIf(hasDisks)('on a full disk', () => {
  test('what is under way when the disk fills at once is done, from the reserve', async () => {
    const folder = await dataDirOnSmallDisk(120)
    expect(await fillWhileLogging(folder, 5000)).toEqual(['done', 'database_unavailable', 'done'])
    expect(await numbersIn(folder)).toEqual([1, 3])
    expect(existsSync(join(folder, 'reserve'))).toBe(true)
  })

  test('a log that needs more than that ends the database, not the process', async () => {
    const folder = await dataDirOnSmallDisk(120)
    const later = 'database_unavailable'
    const [ended, ...outcomes] = await fillWhileLogging(folder, 60_000)
    expect(ended).toBe('ended: The embedded database cannot go on: No space left on device')
    expect(outcomes).toEqual([later, later, later])
    expect(await numbersIn(folder)).toEqual([1])
  })

  test('an answer of many tokens is kept, and stored when there is room again', async () => {
    const folder = await dataDirOnSmallDisk(200)
    const app = await startApp({
      kind: 'embedded',
      database: { dataDir: folder },
      claude: { chunkDelayMs: 20, chunkSize: 4000 },
    })
    onTestFinished(() => app.close())
    const client = await app.connect('legacy', (await app.register()).accessToken)
    const readyz = async () => (await fetch(`${app.baseUrl}/readyz`)).status
    expect(await readyz()).toBe(200)

    const message = 'word '.repeat(24_000).trim()
    const sending = client.call('send_message', { message, max_tokens: 64_000, tag: 'full' })
    await expect.poll(() => app.claude.messageRequests().length).toBe(1)
    const filler = join(folder, 'filler')
    const { bavail, bsize } = statfsSync(folder)
    writeFileSync(filler, Buffer.alloc(bavail * bsize, 1))

    await expect.poll(readyz).toBe(503)
    const refused = await client.call('send_message', { message: 'not now' })
    expect(refused.structured.error).toMatchObject({
      code: 'database_unavailable',
      retryable: true,
      retry_after_seconds: expect.any(Number),
    })
    // What is there can be read.
    expect((await client.call('get_conversations')).isError).toBe(false)
    const failed = await sending
    expect(failed.structured.error).toMatchObject({ code: 'database_unavailable' })
    const { message_id } = failed.structured.error.details

    truncateSync(filler)
    await expect.poll(readyz).toBe(200)
    const got = await client.call('get_message', { message_id, wait_seconds: 20 })
    expect(got.structured.data.status).toBe('complete')
    // As one value: 100 KB would be printed otherwise.
    expect(got.structured.data.content === message).toBe(true)
    const usage = await client.call('get_usage', { group_by: 'tag' })
    const [booked] = usage.structured.data.rows.filter(({ key }: { key: string }) => key === 'full')
    expect(booked).toMatchObject({ calls: 1, estimated_calls: 0 })
    expect(booked.output_tokens).toBeGreaterThan(20_000)
  })
})
