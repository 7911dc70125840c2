import { createApp } from '../../src/app.ts'
import { listen } from '../../src/http/listener/listen.ts'
import { createLogger } from '../../src/log.ts'
import { openUrlOf } from '../support/clients.ts'
import { connectClient, type Era, type TestApp, type TestClient } from '../support/start-app.ts'

/** Another gateway on the first one's PostgreSQL database and behind the same Claude. */
export async function startSecondReplica(first: TestApp) {
  const app = await createApp(first.config, { log: createLogger('silent') })
  const listening = await listen(app.http, first.config.http)
  const url = openUrlOf(`${listening.url}/mcp`)
  const clients: TestClient[] = []
  return {
    url,
    async connect(era: Era, accessToken?: string): Promise<TestClient> {
      const client = await connectClient(era, url, accessToken)
      clients.push(client)
      return client
    },
    async close(): Promise<void> {
      for (const client of clients) await client.close()
      const closed = listening.close()
      await app.close(0)
      listening.cut()
      await closed
    },
  }
}
