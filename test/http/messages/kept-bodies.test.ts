/** Requests of many megabytes whose answers stream for minutes: a body is not kept until the end. */

import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { expect, test } from 'vitest'
import { messagesBody, START, STREAM_HEADERS } from '../../support/api-exchange.ts'
import { apiUser } from '../../support/api-user.ts'
import { memoryInUse } from '../../support/garbage.ts'
import { openRequest } from '../../support/raw-request.ts'
import { startScriptedApp } from '../../support/scripted-app.ts'

const MIB = 1024 * 1024
const STREAMS = 12
const BODY_BYTES = 2 * MIB

test('a stream does not keep the request that it answers', async () => {
  const { origin, app, close } = await startScriptedApp('embedded')
  const answers: IncomingMessage[] = []
  try {
    const { token } = await apiUser(app)
    const messages = [{ role: 'user', content: 'x'.repeat(BODY_BYTES) }]
    // The same bytes each time, so that what is kept is the gateway's.
    const body = Buffer.from(messagesBody({ stream: true, messages }))
    const open = async () => {
      origin.script((res) => void res.writeHead(200, STREAM_HEADERS).write(START))
      const headers = { 'x-api-key': token, 'content-type': 'application/json' }
      const answer = await openRequest(app.baseUrl, { path: '/v1/messages', headers, body })
      expect(answer.statusCode).toBe(200)
      answer.on('error', () => {})
      await once(answer, 'data')
      origin.asked.splice(0)
      answers.push(answer)
    }
    await open()
    const before = memoryInUse().arrayBuffers
    while (answers.length < STREAMS) await open()
    await expect
      .poll(() => memoryInUse().arrayBuffers - before, { timeout: 30_000 })
      .toBeLessThan((STREAMS / 4) * BODY_BYTES)
    expect(app.app.services.runningCalls.ids).toHaveLength(STREAMS)
  } finally {
    for (const answer of answers) answer.destroy()
    await close()
  }
})
