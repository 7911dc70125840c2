import { parseArgs } from 'node:util'
import { startClaudeStandIn } from './server.ts'

const { values } = parseArgs({
  options: {
    port: { type: 'string', default: '4010' },
    host: { type: 'string', default: '127.0.0.1' },
    keys: { type: 'string' },
    'latency-ms': { type: 'string', default: '0' },
    'chunk-delay-ms': { type: 'string', default: '0' },
    'chunk-size': { type: 'string', default: '32' },
    control: { type: 'boolean', default: false },
  },
})

const standIn = await startClaudeStandIn({
  port: Number(values.port),
  host: values.host,
  latencyMs: Number(values['latency-ms']),
  chunkDelayMs: Number(values['chunk-delay-ms']),
  chunkSize: Number(values['chunk-size']),
  control: values.control,
  ...(values.keys !== undefined && { validKeys: values.keys.split(',') }),
})
console.log(standIn.url)
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => void standIn.close())
