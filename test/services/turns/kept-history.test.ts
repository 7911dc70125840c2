/** Long conversations whose answers stream for minutes: what was sent is not kept until the end. */

import type { ServerResponse } from 'node:http'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { END, START, STREAM_HEADERS, TEXT } from '../../support/api-exchange.ts'
import { memoryInUse } from '../../support/garbage.ts'
import { PATIENCE } from '../../support/patience.ts'
import { type ScriptedApp, startScriptedApp } from '../../support/scripted-app.ts'

const STREAMS = 8
const HISTORY_BYTES = 1_000_000

let { origin, app, close } = {} as ScriptedApp
beforeAll(async () => {
  ;({ origin, app, close } = await startScriptedApp('embedded', { MAX_BODY_BYTES: '4000000' }))
})
afterAll(() => close())

test('a stream does not keep the history that it goes on from', async () => {
  const { accessToken } = await app.register()
  const client = await app.connect('legacy', accessToken)
  const send = async (args: Record<string, unknown>) => {
    const { isError, structured } = await client.call('send_message', args)
    expect(isError).toBeFalsy()
    origin.asked.splice(0)
    return structured.data as { conversation_id: string }
  }
  const whole = (res: ServerResponse) =>
    void res.writeHead(200, STREAM_HEADERS).end(START + TEXT + END)
  const begun = (res: ServerResponse) => void res.writeHead(200, STREAM_HEADERS).write(START + TEXT)

  const conversations: string[] = []
  for (let number = 0; number <= STREAMS; number += 1) {
    origin.script(whole)
    const { conversation_id } = await send({ message: `${number}`.repeat(HISTORY_BYTES) })
    conversations.push(conversation_id)
  }
  const goOn = async (conversation_id: string) => {
    origin.script(begun)
    await send({ message: 'And?', conversation_id, wait_seconds: 0 })
  }
  const [first = '', ...others] = conversations
  await goOn(first)
  const before = memoryInUse().heapUsed
  for (const conversation of others) await goOn(conversation)
  await expect
    .poll(() => memoryInUse().heapUsed - before, PATIENCE)
    .toBeLessThan((STREAMS / 2) * HISTORY_BYTES)
  const running = app.app.db.selectFrom('messages').select('id').where('status', '=', 'running')
  expect(await running.where('role', '=', 'assistant').execute()).toHaveLength(STREAMS + 1)
})
