import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { TurnEnd } from '../../../src/repositories/turns/finish-turns.ts'
import {
  type TurnContextRow,
  toTurnContext,
} from '../../../src/repositories/turns/load-turn-context.ts'
import type { NewTurn } from '../../../src/repositories/turns/start-turns.ts'
import { SendMemory } from '../../../src/services/turns/remembered/send-memory.ts'

const MINUTE_MS = 60_000
/** Of the cache's own timer. */
const CLOCK_MS = 1_000
const MEGABYTE = 1024 * 1024

type Found = Parameters<SendMemory['noteSender']>[0]
type Context = Parameters<SendMemory['noteSender']>[1]

let now = MINUTE_MS

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  vi.spyOn(performance, 'now').mockImplementation(() => now)
})
afterEach(() => {
  vi.restoreAllMocks()
  vi.useRealTimers()
})

function pass(minutes: number): void {
  for (let minute = 0; minute < minutes; minute += 1) {
    now += MINUTE_MS
    vi.advanceTimersByTime(MINUTE_MS)
  }
}

function noteSender(memory: SendMemory, id: string) {
  const proof = { id } as unknown as Found['proof']
  const context = {
    ...{ userDataKey: Buffer.alloc(32), apiKey: undefined, limits: [] },
    versions: { sender: '1', conversation: null },
  }
  memory.noteSender({ proof, session: {} } as unknown as Found, context as unknown as Context)
  return () => memory.findSender(proof)?.version
}

test('what nothing has changed for a quarter of an hour is gone from memory, without being asked for', () => {
  const memory = new SendMemory(MEGABYTE)
  const first = noteSender(memory, 'first')
  pass(10)
  const second = noteSender(memory, 'second')
  expect([first(), second()]).toEqual(['1', '1'])
  pass(6)
  expect([first(), second()]).toEqual([undefined, '1'])
  // The timer is planned again, and only while something is remembered.
  vi.advanceTimersByTime(2 * CLOCK_MS)
  expect(vi.getTimerCount()).toBe(1)
  pass(11)
  expect(vi.getTimerCount()).toBe(0)
})

test('one timer is enough for all that is remembered', () => {
  const memory = new SendMemory(MEGABYTE)
  for (let index = 0; index < 100; index += 1) noteSender(memory, `sender ${index}`)
  // One of this class, and one of the cache's clock.
  expect(vi.getTimerCount()).toBeLessThanOrEqual(2)
})

const USER_ID = '0190c0de-0000-7000-8000-000000000001'
const CONVERSATION_ID = '0190c0de-0000-7000-8000-000000000002'

/** Small buffers are parts of Node's pool, which other things take parts of meanwhile. */
function poolPart(bytes: number): Buffer {
  const part = Buffer.from('x'.repeat(bytes))
  Buffer.from('y'.repeat(3000))
  return part
}

/** As PostgreSQL writes it, in lines. */
const base64 = (bytes: number) =>
  Buffer.from('x'.repeat(bytes)).toString('base64').replaceAll(/.{76}/g, '$&\n')

function readContext(messageBytes: readonly number[]): Context {
  const rows = messageBytes.map((bytes, index) => {
    return [`${index}`, messageBytes.length - index, 'user', base64(bytes)]
  })
  const row = {
    ...{ id: CONVERSATION_ID, sealedFor: USER_ID, dataKey: poolPart(60), ownerId: USER_ID },
    ...{ role: 'owner', systemPrompt: poolPart(100), runningMessageId: null, limits: [] },
    ...{ messageCount: rows.length, history: [true, rows], senderVersion: '1', version: '1' },
  }
  return toTurnContext(row as unknown as TurnContextRow)
}

test.each(['once it was read', 'once a turn began'])(
  'what is remembered of a conversation %s keeps no more bytes than its own',
  (from) => {
    const memory = new SendMemory(MEGABYTE)
    const context = readContext(Array(20).fill(300))
    if (from === 'once it was read') memory.noteConversation(context)
    const sent = { messageCount: 20, userMessageId: 'q', answerId: 'a', opening: null }
    const turn = { ...sent, content: poolPart(400) } as unknown as NewTurn
    const end = { status: 'complete', content: poolPart(500) } as TurnEnd
    const find = () => memory.findConversation(CONVERSATION_ID, USER_ID)?.conversation
    memory.noteBegun(turn, find() ?? context.conversation, { ref: undefined, version: '2' })
    const ofTurn = { conversationId: CONVERSATION_ID, answerId: 'a', position: 21 }
    memory.noteEnded(ofTurn, end, {}, { before: '2', after: '3' })

    const contents = find()?.history.messages.map(({ content }) => content) ?? []
    expect(contents.map((content) => content?.length)).toEqual([500, 400, ...Array(20).fill(300)])
    expect(contents.every((content) => content?.toString().match(/^x+$/))).toBe(true)
    const kept = [find()?.ref.dataKey, find()?.systemPrompt, ...contents]
    const allocations = new Set(kept.map((buffer) => buffer?.buffer))
    const keptBytes = [...allocations].reduce((sum, buffer) => sum + (buffer?.byteLength ?? 0), 0)
    const ownBytes = 60 + 100 + 400 + 500 + 20 * 300
    expect(keptBytes).toBeGreaterThanOrEqual(ownBytes)
    expect(keptBytes).toBeLessThan(1.02 * ownBytes)
  },
)
