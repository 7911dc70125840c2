/** Listens to one channel of a PostgreSQL server, reconnecting until closed. */

import { Client } from 'pg'

export type Listener = { close(): Promise<void> }

type ListenOptions = {
  url: string
  channel: string
  onPayload: (payload: string) => void
  /** Called when the connection breaks; it reconnects by itself. */
  onError: (error: unknown) => void
}

const RECONNECT_MS = 2000

/**
 * Payloads sent while it reconnects are lost, so the caller must also poll from time to time.
 * Behind a pooler in transaction mode none arrive at all.
 */
export function listenTo({ url, channel, onPayload, onError }: ListenOptions): Listener {
  let client: Client | undefined
  let timer: NodeJS.Timeout | undefined
  let isClosed = false

  const reconnect = (error: unknown) => {
    if (isClosed) return
    onError(error)
    client?.removeAllListeners()
    client?.on('error', () => {})
    client?.end().catch(() => {})
    clearTimeout(timer)
    timer = setTimeout(connect, RECONNECT_MS)
    timer.unref()
  }
  const connect = () => {
    client = new Client({
      connectionString: url,
      keepAlive: true,
      application_name: 'claude-api-gateway listener',
    })
    const current = client
    current.on('error', reconnect)
    current.on('end', () => reconnect(new Error('the connection ended')))
    current.on('notification', ({ payload }) => onPayload(payload ?? ''))
    current
      .connect()
      .then(() => current.query(`listen ${current.escapeIdentifier(channel)}`))
      .catch(reconnect)
  }
  connect()
  return {
    async close() {
      isClosed = true
      clearTimeout(timer)
      await client?.end().catch(() => {})
    },
  }
}
