import type { DatabaseKind } from './databases.ts'
import { type ScriptedOrigin, startScriptedOrigin } from './scripted-origin.ts'
import { startApp, type TestApp } from './start-app.ts'

export type ScriptedApp = { origin: ScriptedOrigin; app: TestApp; close(): Promise<void> }

/** The gateway in front of an origin that answers as a test says; `close` ends both. */
export async function startScriptedApp(
  kind: DatabaseKind,
  env: Record<string, string> = {},
): Promise<ScriptedApp> {
  const origin = await startScriptedOrigin()
  const ofOrigin = { ANTHROPIC_BASE_URL: origin.url, VALIDATE_API_KEYS: 'false' }
  const app = await startApp({ kind, env: { ...ofOrigin, ...env } })
  const close = async () => {
    await app.close()
    await origin.close()
  }
  return { origin, app, close }
}
