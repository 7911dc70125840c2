/** The least a forwarder can do on Node: node:http in front, one pool of connections behind. */

import { createServer } from 'node:http'
import { Pool } from 'undici'

const pool = new Pool(String(process.env.UPSTREAM), { connections: 256 })
const PASSED_ON = ['content-type', 'x-api-key', 'anthropic-version']

createServer((req, res) => {
  const headers = Object.fromEntries(PASSED_ON.map((name) => [name, String(req.headers[name])]))
  pool
    .stream({ path: String(req.url), method: 'POST', headers, body: req }, (answer) => {
      const type = answer.headers['content-type']
      res.writeHead(answer.statusCode, { 'content-type': String(type) })
      return res
    })
    .catch(() => res.destroy())
}).listen(Number(process.env.PORT), '127.0.0.1')
