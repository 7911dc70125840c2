/** A proxy that gives every request to the next replica in turn, however its connection is used. */

import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'

export type RoundRobin = {
  url: string
  /** Origins. Empty at first: what they are told of this proxy has to be known before they start. */
  replicas: string[]
  /** How many requests each got. */
  counts: number[]
  close(): Promise<void>
}

export async function startRoundRobin(): Promise<RoundRobin> {
  const replicas: string[] = []
  const counts: number[] = []
  let turn = 0
  const server = createServer((req, res) => {
    const index = turn % replicas.length
    turn += 1
    counts[index] = (counts[index] ?? 0) + 1
    const { hostname, port } = new URL(replicas[index] ?? '')
    const { url: path, method, headers } = req
    const onward = request({ hostname, port, path, method, headers }, (answer) => {
      res.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.pipe(res)
    })
    onward.on('error', () => res.destroy())
    res.on('close', () => onward.destroy())
    req.pipe(onward)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    replicas,
    counts,
    async close() {
      const closed = new Promise((resolve) => server.close(resolve))
      server.closeAllConnections()
      await closed
    },
  }
}
