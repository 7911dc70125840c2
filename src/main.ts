/** Starts the gateway, and prints why when it cannot start. */

import './process/node-version.ts'
import module from 'node:module'
import { fileURLToPath } from 'node:url'

/**
 * V8's compile cache for the next start (Node.js 22.8 or newer). It is code, so it is stored with
 * the code and not where others may write; a folder that is not writable disables it.
 */
const COMPILE_CACHE = fileURLToPath(
  new URL('../node_modules/.cache/claude-api-gateway/compiled', import.meta.url),
)

async function start(): Promise<void> {
  const { enableCompileCache } = module as { enableCompileCache?: (folder: string) => unknown }
  enableCompileCache?.(COMPILE_CACHE)
  // Not a static import: that would be compiled before the cache is enabled.
  const { readDotEnv } = await import('./process/dot-env.ts')
  const settingsFile = readDotEnv()
  const { serve } = await import('./serve.ts')
  await serve(settingsFile)
}

function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return process.env.LOG_LEVEL === 'debug' ? `${error.stack}` : error.message
}

start().catch((error: unknown) => {
  process.stderr.write(`\nThe gateway could not start. ${explain(error)}\n\n`)
  process.exitCode = 1
  // Anything that still keeps the process alive belongs to the failed start.
  setTimeout(() => process.exit(), 1000).unref()
})
