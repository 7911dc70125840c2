/** Starts the gateway, and says why when it cannot start. */

import './node-version.ts'
import module from 'node:module'
import { fileURLToPath } from 'node:url'

/**
 * What V8 made of the code, kept for the next start (Node.js 22.8 or newer). It lies with the code,
 * because it is code: where others may write it must not lie, and not writable it is left out.
 */
const COMPILE_CACHE = fileURLToPath(
  new URL('../node_modules/.cache/claude-api-gateway/compiled', import.meta.url),
)

async function start(): Promise<void> {
  const { enableCompileCache } = module as { enableCompileCache?: (folder: string) => unknown }
  enableCompileCache?.(COMPILE_CACHE)
  // Not a static import: that would be compiled before the cache is there.
  const { readDotEnv } = await import('./dot-env.ts')
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
  // Whatever holds the process open belongs to a start that failed.
  setTimeout(() => process.exit(), 1000).unref()
})
