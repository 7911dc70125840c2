/** The embedded database on a disk of a few megabytes: an answer that ends on a full one is kept. */

import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, statfsSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, onTestFinished, test } from 'vitest'
import { freshDatabaseOptions } from '../support/databases.ts'
import { scratchFolder } from '../support/scratch-folder.ts'
import { startApp } from '../support/start-app.ts'

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

const disk = await smallDisk(200)
if (!disk) process.stdout.write('a full disk is left out: this process may not mount one\n')

describe.skipIf(!disk)('on a full disk', () => {
  test('an answer of many tokens is kept, and stored when there is room again', async () => {
    const folder = disk as string
    onTestFinished(async () => {
      await run('umount', ['-l', folder])
      rmSync(folder, { recursive: true })
    })
    const fresh = await freshDatabaseOptions('embedded')
    await run('cp', ['-R', join(fresh.dataDir, 'postgres'), folder])
    await fresh.drop()
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
    await expect.poll(() => app.claude.messageRequests().length, { timeout: 20_000 }).toBe(1)
    const filler = join(folder, 'filler')
    const { bavail, bsize } = statfsSync(folder)
    writeFileSync(filler, Buffer.alloc(bavail * bsize, 1))

    await expect.poll(readyz, { timeout: 20_000 }).toBe(503)
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
    await expect.poll(readyz, { timeout: 30_000 }).toBe(200)
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
