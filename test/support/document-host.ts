/** An https server of documents on this machine, with a certificate of its own making. */

import { mkdtemp, readFile, rm } from 'node:fs/promises'
import type { RequestListener } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { makeCertificate } from './certificate.ts'

export type DocumentHost = {
  /** By its name; the certificate is for that, 127.0.0.1 and documents.example. */
  url: string
  port: number
  /** For NODE_EXTRA_CA_CERTS: nobody trusts the certificate otherwise. */
  certificateFile: string
  /** Paths that were asked for, oldest first. */
  requests: string[]
  close(): Promise<void>
}

/** The certificate takes about 50 ms to make. */
export async function startDocumentHost(answer: RequestListener): Promise<DocumentHost> {
  const folder = await mkdtemp(join(tmpdir(), 'gateway-documents-'))
  const certificateFile = join(folder, 'certificate.pem')
  const keyFile = join(folder, 'key.pem')
  await makeCertificate(certificateFile, keyFile)
  const [cert, key] = await Promise.all([readFile(certificateFile), readFile(keyFile)])
  const requests: string[] = []
  const server = createServer({ cert, key }, (req, res) => {
    requests.push(req.url ?? '')
    answer(req, res)
  })
  server.on('tlsClientError', () => {})
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `https://localhost:${port}`,
    port,
    certificateFile,
    requests,
    async close() {
      const closed = new Promise((resolve) => server.close(resolve))
      server.closeAllConnections()
      await closed
      await rm(folder, { recursive: true, force: true })
    },
  }
}
