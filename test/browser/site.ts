/** The gateway as it is on the internet: behind https, at the address that it knows as its own. */

import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Agent, fetch as fetchWith } from 'undici'
import { makeCertificate } from '../support/certificate.ts'
import { freePort } from '../support/free-port.ts'
import { startApp, type TestApp } from '../support/start-app.ts'

export type Site = {
  app: TestApp
  /** PUBLIC_URL. */
  url: string
  /** Trusts the site's certificate. */
  fetch: typeof fetch
  close(): Promise<void>
}

/** @param env settings over those of the site; another PUBLIC_URL has to be made to lead to it. */
export async function openSite(env: Record<string, string> = {}): Promise<Site> {
  const folder = await mkdtemp(join(tmpdir(), 'gateway-site-'))
  const [certificateFile, keyFile] = [join(folder, 'certificate.pem'), join(folder, 'key.pem')]
  await makeCertificate(certificateFile, keyFile)
  const port = await freePort()
  const own = {
    PORT: String(port),
    PUBLIC_URL: `https://localhost:${port}`,
    TLS_CERT_FILE: certificateFile,
    TLS_KEY_FILE: keyFile,
  }
  const app = await startApp({ kind: 'embedded', env: { ...own, ...env } })
  const dispatcher = new Agent({ connect: { ca: await readFile(certificateFile) } })
  const trusting = async (url: URL | string, init: object = {}) => {
    const { status, headers, body } = await fetchWith(url, { ...init, dispatcher })
    return new Response(body, { status, headers: [...headers] })
  }
  return {
    app,
    url: app.config.http.publicUrl,
    fetch: trusting as typeof fetch,
    async close() {
      await dispatcher.close()
      await app.close()
      await rm(folder, { recursive: true })
    },
  }
}
