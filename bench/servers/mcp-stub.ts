/** The least a tools/call can cost on node:http: parses the JSON-RPC message and echoes. */

import { createServer } from 'node:http'

createServer((req, res) => {
  const chunks: Buffer[] = []
  req.on('data', (chunk: Buffer) => chunks.push(chunk))
  req.on('end', () => {
    const { id, params } = JSON.parse(Buffer.concat(chunks).toString() || '{}')
    const text = `Echo: ${params?.arguments?.message}`
    const result = { content: [{ type: 'text', text }] }
    const body = JSON.stringify({ jsonrpc: '2.0', id, result })
    const length = Buffer.byteLength(body)
    res.writeHead(200, { 'content-type': 'application/json', 'content-length': length })
    res.end(body)
  })
}).listen(Number(process.env.PORT), '127.0.0.1')
