import { expect, test } from 'vitest'
import { EventReader } from '../../../src/claude/transport/event-stream.ts'

const FRAMES =
  ': a comment\r\nevent: content_block_delta\r\ndata: {"type":"content_block_delta",\r\n' +
  'data: "text":"Grüße 👋"}\r\n\r\n' +
  'event: ping\ndata: {"type":"ping"}\n\n' +
  'data: {"type":"nameless"}\n\n' +
  'event: message_stop\ndata:{"type":"message_stop"}\n\n' +
  'event: unfinished\ndata: {"type":"unfinished"}\n'

function collect(chunks: Uint8Array[]) {
  const events: unknown[] = []
  const reader = new EventReader('req_1', (event) => events.push(event))
  for (const chunk of chunks) {
    reader.push(chunk)
    // The network's buffer is used again.
    chunk.fill(0)
  }
  return events
}

const feeds = FRAMES.replaceAll('\r\n', '\n')
const WRITTEN = [
  ['as they come', FRAMES],
  ['with lone returns', feeds.replaceAll('\n', '\r')],
  ['with returns and feeds', feeds.replaceAll('\n', '\r\n')],
  ['after a byte order mark', `\ufeff${feeds}`],
  ['after a byte order mark, with lone returns', `\ufeff${feeds.replaceAll('\n', '\r')}`],
] as const
const cut = WRITTEN.flatMap(([how, text]) =>
  [1, 2, 3, 7, 1000].map((size) => [how, size, text] as const),
)

test.each(cut)('events %s survive being cut every %i bytes', (_, size, text) => {
  const bytes = Buffer.from(text)
  const chunks = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
    bytes.subarray(i * size, (i + 1) * size),
  )
  expect(collect(chunks)).toEqual([
    { type: 'content_block_delta', text: 'Grüße 👋' },
    { type: 'message_stop' },
  ])
})

test('an error event is thrown with its type and the request id', () => {
  const data = '{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'
  expect(thrownBy(`event: error\ndata: ${data}\n\n`)).toMatchObject({
    status: undefined,
    type: 'overloaded_error',
    requestID: 'req_1',
  })
  expect(thrownBy('event: error\ndata: oops\n\n')).toMatchObject({ type: null, requestID: 'req_1' })
})

function thrownBy(text: string): unknown {
  try {
    collect([Buffer.from(text)])
  } catch (error) {
    return error
  }
  return undefined
}
