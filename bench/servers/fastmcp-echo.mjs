/** fastmcp as its documentation shows it, stateless, with one tool that echoes. */

import { FastMCP } from 'fastmcp'
import { z } from 'zod'

const server = new FastMCP({ name: 'echo', version: '1.0.0' })
server.addTool({
  name: 'echo',
  description: 'Echoes the message.',
  parameters: z.object({ message: z.string() }),
  execute: async ({ message }) => `Echo: ${message}`,
})
await server.start({
  transportType: 'httpStream',
  httpStream: {
    host: '127.0.0.1',
    port: Number(process.env.PORT),
    stateless: true,
    enableJsonResponse: true,
  },
})
