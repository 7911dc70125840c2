/** A desktop client: the official SDK with its own OAuth code, which opens a browser and listens. */

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { MemoryCredentials } from '../support/oauth-client.ts'
import type { Site } from './site.ts'

export type Connector = Awaited<ReturnType<typeof openConnector>>

class DesktopCredentials extends MemoryCredentials {
  readonly #redirectUrl: string

  constructor(name: string, redirectUrl: string) {
    super({ name })
    this.#redirectUrl = redirectUrl
    this.clientMetadata.redirect_uris = [redirectUrl]
  }

  override get redirectUrl(): string {
    return this.#redirectUrl
  }
}

export async function openConnector(site: Site, name: string) {
  const listener = await listenForCallback()
  const credentials = new DesktopCredentials(name, listener.url)
  const answers: string[] = []
  const fetch: typeof globalThis.fetch = async (input, init) => {
    const response = await site.fetch(input, init)
    const url = new URL(input instanceof Request ? input.url : input)
    answers.push(`${init?.method ?? 'GET'} ${url.pathname} ${response.status}`)
    return response
  }
  const newTransport = () =>
    new StreamableHTTPClientTransport(new URL(`${site.url}/mcp`), {
      authProvider: credentials,
      fetch,
    })
  const client = new Client(
    { name, version: '1.0.0' },
    { versionNegotiation: { mode: { pin: '2026-07-28' } } },
  )
  const transport = newTransport()
  const isIn = await client.connect(transport).then(
    () => true,
    () => false,
  )
  if (isIn) throw new Error('connected without a token')
  return {
    listenerOrigin: new URL(listener.url).origin,
    /** What its requests were answered with, oldest first: `POST /mcp 401`. */
    answers,
    credentials,
    call: (tool: string, args: Record<string, unknown>) =>
      client.callTool({ name: `claude-api-gateway_${tool}`, arguments: args }),
    /** Waits until a browser comes back, trades what it brings for tokens, and connects. */
    async finish(): Promise<void> {
      const callback = await listener.callback
      credentials.checkState(callback)
      await transport.finishAuth(callback.searchParams)
      await client.connect(newTransport())
    },
    async close(): Promise<void> {
      await client.close()
      await listener.close()
    },
  }
}

/** On a port that nobody registered beforehand (RFC 8252, section 7.3). */
async function listenForCallback() {
  const server = createServer()
  const callback = new Promise<URL>((resolve) => {
    server.on('request', (req, res) => {
      const url = new URL(req.url ?? '/', 'http://127.0.0.1')
      if (url.pathname === '/callback') resolve(url)
      res.setHeader('content-type', 'text/html').end('<!doctype html><title>Connected</title>')
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}/callback`,
    callback,
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
