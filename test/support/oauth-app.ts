/** The gateway at a URL of its own that it knows, as OAuth needs it. */

import { type AddressInfo, createServer } from 'node:net'
import { startApp, type TestApp } from './start-app.ts'

/** Its `baseUrl` is its PUBLIC_URL, the issuer. */
export async function startOAuthApp(options: Parameters<typeof startApp>[0]): Promise<TestApp> {
  const port = await freePort()
  const own = { PORT: String(port), PUBLIC_URL: `http://127.0.0.1:${port}` }
  return startApp({ ...options, env: { ...own, ...options.env } })
}

/** Free at this moment; the system does not soon give it to somebody else. */
export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}
