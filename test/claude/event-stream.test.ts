import { expect, test } from 'vitest'
import { readEvents } from '../../src/claude/event-stream.ts'

const FRAMES =
  ': a comment\r\nevent: content_block_delta\r\ndata: {"type":"content_block_delta",\r\n' +
  'data: "text":"Grüße 👋"}\r\n\r\n' +
  'event: ping\ndata: {"type":"ping"}\n\n' +
  'data: {"type":"nameless"}\n\n' +
  'event: message_stop\ndata:{"type":"message_stop"}\n\n' +
  'event: unfinished\ndata: {"type":"unfinished"}\n'

async function collect(chunks: Uint8Array[]) {
  const body = (async function* () {
    yield* chunks
  })()
  const events: unknown[] = []
  for await (const event of readEvents(body, 'req_1')) events.push(event)
  return events
}

test.each([1, 2, 3, 7, 1000])('events survive being cut every %i bytes', async (size) => {
  const bytes = Buffer.from(FRAMES)
  const chunks = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
    bytes.subarray(i * size, (i + 1) * size),
  )
  expect(await collect(chunks)).toEqual([
    { type: 'content_block_delta', text: 'Grüße 👋' },
    { type: 'message_stop' },
  ])
})

test('an error event is thrown with its type and the request id', async () => {
  const data = '{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'
  await expect(collect([Buffer.from(`event: error\ndata: ${data}\n\n`)])).rejects.toMatchObject({
    status: undefined,
    type: 'overloaded_error',
    requestID: 'req_1',
  })
  await expect(collect([Buffer.from('event: error\ndata: oops\n\n')])).rejects.toMatchObject({
    type: null,
    requestID: 'req_1',
  })
})
