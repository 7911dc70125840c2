import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { describeDatabases } from '../../support/databases.ts'
import { startApp, type TestApp, type TestClient } from '../../support/start-app.ts'

const { version } = JSON.parse(
  readFileSync(new URL('../../../package.json', import.meta.url), 'utf8'),
)
const INSTANT = expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/)

describeDatabases('health_check', (kind) => {
  let app: TestApp
  let anyone: TestClient
  beforeAll(async () => {
    app = await startApp({ kind })
    anyone = await app.connect('modern')
  })
  afterAll(() => app.close())

  const upstream = async () => (await anyone.call('health_check')).structured.data.upstream

  test('says how things are, to everybody', async () => {
    const { structured, text } = await anyone.call('health_check')
    expect(structured).toEqual({
      success: true,
      data: {
        status: 'healthy',
        version,
        uptime_seconds: expect.any(Number),
        database: { kind, reachable: true, latency_ms: expect.any(Number) },
        upstream: { status: 'unknown', last_seen_at: null },
      },
    })
    expect(Number.isInteger(structured.data.uptime_seconds)).toBe(true)
    expect(JSON.parse(text)).toEqual(structured)
  })

  test('tells of Claude what the last call found, and never calls', async () => {
    const { accessToken } = await app.register()
    expect(await upstream()).toEqual({ status: 'reachable', last_seen_at: INSTANT })

    const client = await app.connect('legacy', accessToken)
    app.claude.script({ kind: 'drop_before_headers' }, { kind: 'drop_before_headers' })
    await client.call('send_message', { message: 'Anybody there?' })
    expect(await upstream()).toEqual({ status: 'unreachable', last_seen_at: INSTANT })

    app.claude.script({ kind: 'status', status: 400 })
    await client.call('send_message', { message: 'An error is a sign of life.' })
    expect(await upstream()).toEqual({ status: 'reachable', last_seen_at: INSTANT })

    const calls = app.claude.journal.length
    for (let times = 0; times < 5; times++) await upstream()
    expect(app.claude.journal).toHaveLength(calls)
  })
})
