/**
 * Hands databases to the test workers, over HTTP on the loopback address, and makes what they need
 * when the first of them asks: a run of pure tests neither waits for a server nor starts one.
 */

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type Prepared, prepareEmbedded, preparePostgresql } from './database-supplies.ts'
import type { PostgresqlSource } from './postgresql-cluster.ts'

export type PageContext = {
  url: string
  /** The databases that were asked for, for people. */
  used(): Promise<string[]>
  close(): Promise<void>
}

/** @param source where PostgreSQL comes from; undefined when this machine has none. */
export async function openDesk(source: PostgresqlSource | undefined): Promise<PageContext> {
  const shelves = {
    '/embedded': lazily(prepareEmbedded),
    '/postgresql': lazily(() => preparePostgresql(source)),
  }
  const server = createServer(async (request, response) => {
    const shelf = shelves[request.url as keyof typeof shelves]
    const { supply } = await shelf
      .get()
      .catch((error: Error) => ({ supply: { error: error.message } }))
    response.end(JSON.stringify(supply))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const asked = () =>
    Promise.allSettled(Object.values(shelves).flatMap((shelf) => shelf.asked() ?? []))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async used() {
      return (await asked()).map((result) =>
        result.status === 'fulfilled' ? result.value.name : `FAILED: ${result.reason.message}`,
      )
    },
    async close() {
      server.close()
      server.closeAllConnections()
      for (const result of await asked()) {
        if (result.status === 'fulfilled') await result.value.drop()
      }
    },
  }
}

function lazily(make: () => Promise<Prepared>) {
  let made: Promise<Prepared> | undefined
  return {
    asked: () => made,
    get() {
      made ??= make()
      return made
    },
  }
}
