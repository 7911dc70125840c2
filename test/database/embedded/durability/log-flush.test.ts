import { closeSync, openSync, writeSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  LogFlush,
  type LogSegment,
} from '../../../../src/database/embedded/durability/log-flush.ts'

describe('a flush of the write-ahead log', () => {
  let folder: string
  let fd: number
  let released = 0
  const open = (): LogSegment => ({
    fd,
    release: () => {
      released += 1
    },
  })
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gateway-test-'))
    fd = openSync(join(folder, 'segment'), 'w')
  })
  afterAll(async () => {
    closeSync(fd)
    await rm(folder, { recursive: true })
  })

  test('is put off until it is waited for, and lets go of the segment once it is done', async () => {
    released = 0
    const log = new LogFlush('full')
    writeSync(fd, 'one')
    log.request(fd, open)
    log.request(fd, open)
    expect(log.isPending).toBe(true)
    await Promise.all([log.settled(), log.settled()])
    expect(log.isPending).toBe(false)
    expect(released).toBe(1)
  })

  test('that is under way does not count for what is written meanwhile', async () => {
    const log = new LogFlush('full')
    log.request(fd, open)
    const first = log.settled()
    log.request(fd, open)
    const second = log.settled()
    await first
    expect(log.isPending).toBe(true)
    await second
    expect(log.isPending).toBe(false)
  })

  test('is done on the spot where others rely on it, also one that is under way', async () => {
    const log = new LogFlush('full')
    log.request(fd, open)
    const settled = log.settled()
    log.request(fd, open)
    log.flushNow()
    expect(log.isPending).toBe(false)
    await settled
  })

  test('is not waited for with fast, and still done', async () => {
    const log = new LogFlush('fast')
    log.request(fd, open)
    await log.settled()
    expect(log.isPending).toBe(true)
    await expect.poll(() => log.isPending).toBe(false)
  })

  test('that the disk refuses is an error for all who wait, and for all who come later', async () => {
    const log = new LogFlush('full')
    const nothingToKeep = openSync('/dev/null', 'r+')
    log.request(nothingToKeep, () => ({ fd: nothingToKeep, release: () => {} }))
    const refusal = { code: 'database_unavailable', retryable: false }
    await expect(Promise.all([log.settled(), log.settled()])).rejects.toMatchObject(refusal)
    await expect(log.settled()).rejects.toMatchObject(refusal)
    await expect(log.close()).rejects.toMatchObject(refusal)
    closeSync(nothingToKeep)
  })
})
