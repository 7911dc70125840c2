/** The gateway at a URL of its own that it knows, as OAuth needs it. */

import { freePort } from './free-port.ts'
import { startApp, type TestApp } from './start-app.ts'

/** Its `baseUrl` is its PUBLIC_URL, the issuer. */
export async function startOAuthApp(options: Parameters<typeof startApp>[0]): Promise<TestApp> {
  const port = await freePort()
  const own = { PORT: String(port), PUBLIC_URL: `http://127.0.0.1:${port}` }
  return startApp({ ...options, env: { ...own, ...options.env } })
}
