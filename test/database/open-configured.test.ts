/** A start before its database is there: what may pass is waited for, and nothing else. */

import { randomBytes } from 'node:crypto'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import { loadConfig } from '../../src/config/config.ts'
import { openConfiguredDatabase } from '../../src/database/open-configured.ts'
import type { Logger } from '../../src/log.ts'
import { freshDatabaseOptions, hasPostgresql } from '../support/databases.ts'
import { PATIENCE } from '../support/patience.ts'

describe.runIf(hasPostgresql)('at the start', () => {
  /** @param refused so many connections are ended at once. */
  async function start(refused: number, patienceMs: number, name?: string) {
    const fresh = await freshDatabaseOptions('postgresql')
    const door = await startDoor(fresh.url as string, refused)
    onTestFinished(async () => {
      await door.close()
      await fresh.drop()
    })
    const url = new URL(door.url)
    if (name !== undefined) url.pathname = `/${name}`
    const warnings: string[] = []
    const log = { warn: (text: string) => warnings.push(text) } as unknown as Logger
    const config = loadConfig({
      DATABASE_URL: url.href,
      ENCRYPTION_KEY: randomBytes(32).toString('base64'),
    })
    const opening = openConfiguredDatabase(config, log, { patienceMs })
    return { opening, warnings, tries: () => door.count }
  }

  test('a database that is away is tried again, which is said once', async () => {
    const { opening, warnings } = await start(3, PATIENCE.timeout)
    const database = await opening
    expect(await database.ping()).toBeGreaterThan(0)
    await database.close()
    expect(warnings).toEqual([
      expect.stringMatching(/^DATABASE_URL: .* ended the connection\..* Trying again for \d+ s\.$/),
    ])
  })

  test('one that stays away ends the start with its reason', async () => {
    const { opening } = await start(Number.POSITIVE_INFINITY, 1)
    await expect(opening).rejects.toThrow(/DATABASE_URL: .* ended the connection/)
  })

  test('what does not pass by itself ends it at the first try', async () => {
    const { opening, warnings, tries } = await start(0, PATIENCE.timeout, 'not-there')
    await expect(opening).rejects.toThrow(/has no database not-there/)
    expect(warnings).toEqual([])
    expect(tries()).toBe(1)
  })
})

/** In front of a server: ends so many connections at first. */
async function startDoor(upstream: string, refused: number) {
  const { searchParams, port } = new URL(upstream)
  const open = new Set<Socket>()
  const keep = (socket: Socket) => {
    open.add(socket)
    return socket.on('error', () => {}).on('close', () => open.delete(socket))
  }
  let count = 0
  const server = createServer((client) => {
    keep(client)
    count += 1
    if (count <= refused) return void client.destroy()
    const target = keep(connect(`${searchParams.get('host')}/.s.PGSQL.${port || 5432}`))
    target.on('close', () => client.destroy())
    client.on('close', () => target.destroy())
    client.pipe(target).pipe(client)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = new URL(upstream)
  url.searchParams.delete('host')
  url.host = `127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    url: url.href,
    get count() {
      return count
    },
    async close() {
      for (const socket of open) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
