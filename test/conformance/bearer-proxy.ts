/** Adds an access token to every request: the conformance suite has no way to send one. */

import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'

/** Listens on a free loopback port; everything else of a request and its answer stays as it is. */
export async function startBearerProxy(target: string, accessToken: string) {
  const { hostname, port } = new URL(target)
  const server = createServer((req, res) => {
    const onward = request({
      hostname,
      port,
      path: req.url,
      method: req.method,
      headers: { ...req.headers, authorization: `Bearer ${accessToken}` },
    })
    onward.on('response', (answer) => {
      res.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.pipe(res)
    })
    onward.on('error', () => res.destroy())
    res.on('close', () => onward.destroy())
    req.pipe(onward)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://localhost:${(server.address() as AddressInfo).port}`,
    async close(): Promise<void> {
      server.close()
      server.closeAllConnections()
    },
  }
}
