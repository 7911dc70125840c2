/** The newest text while Claude writes, for a client that asked for it. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { eras, startApp, type TestApp, type TestUser } from '../../support/start-app.ts'
import { postCall } from '../raw-call.ts'

const CHUNKS = 40
const TEXT = Array.from(
  { length: CHUNKS },
  (_, index) => `w${String(index).padStart(2, '0')} `,
).join('')

let app: TestApp
let user: TestUser
beforeAll(async () => {
  app = await startApp({ kind: 'embedded', claude: { chunkSize: 4, chunkDelayMs: 20 } })
  app.claude.setReply({ text: TEXT })
  user = await app.register()
})
afterAll(() => app.close())

describe.each(eras)('%s era', (era) => {
  test('rises, is throttled, and is the beginning of what is answered', async () => {
    const client = await app.connect(era, user.accessToken)
    const seen: { progress: number; message?: string }[] = []
    const startedAt = performance.now()
    const { structured } = await client.call(
      'send_message',
      { message: 'Write.' },
      { onprogress: (progress) => void seen.push(progress) },
    )
    const elapsedMs = performance.now() - startedAt
    expect(structured.data.content).toBe(TEXT)
    expect(seen.length).toBeGreaterThanOrEqual(2)
    expect(seen.length).toBeLessThanOrEqual(1 + Math.floor(elapsedMs / 300))
    seen.forEach(({ progress, message }, index) => {
      expect(progress).toBeGreaterThan(seen[index - 1]?.progress ?? 0)
      expect(message).toBe(TEXT.slice(0, progress).trim())
    })
  })

  test('is not sent to a client that gave no token', async () => {
    const headers = { Authorization: `Bearer ${user.accessToken}` }
    const args = { message: 'Write.' }
    const response = await postCall(app.url, era, 'send_message', args, { headers })
    const stream = await response.text()
    expect(response.headers.get('content-type')).toContain('text/event-stream')
    expect(stream).toContain('w39')
    expect(stream).not.toContain('notifications/progress')
  })
})
