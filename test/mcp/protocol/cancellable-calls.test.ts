import { expect, test } from 'vitest'
import { CancellableCalls } from '../../../src/mcp/protocol/cancellable-calls.ts'
import type { RequestIdentity } from '../../../src/mcp/run-tool.ts'

const askerOf = (sessionId: string): RequestIdentity => ({
  caller: {
    userId: 'ada',
    username: 'ada',
    sessionId,
    kind: 'password',
    scopes: [],
    isAdmin: false,
    isAuditor: false,
    network: null,
  },
  refusal: null,
})
const ADA = askerOf('session-of-ada')
const NOBODY: RequestIdentity = { caller: null, refusal: null }

const cancelled = (requestId: unknown) => ({
  jsonrpc: '2.0',
  method: 'notifications/cancelled',
  params: { requestId },
})

/** A call that runs until it is ended, and what its signal says. */
function start(calls: CancellableCalls, requestId: string | number, asker: RequestIdentity) {
  let end = () => {}
  let signal: AbortSignal | undefined
  const done = calls.run(requestId, asker, (given) => {
    signal = given
    return new Promise<void>((resolve) => {
      end = resolve
    })
  })
  return {
    get isCancelled() {
      return signal?.aborted
    },
    end: () => {
      end()
      return done
    },
  }
}

test('a notification cancels the call it names', () => {
  const calls = new CancellableCalls()
  const [first, second] = [start(calls, 1, ADA), start(calls, 2, ADA)]
  calls.cancelNamedBy(cancelled(2), ADA)
  expect([first.isCancelled, second.isCancelled]).toEqual([false, true])
})

test.each<[string, unknown, RequestIdentity]>([
  ["another session's", cancelled(1), askerOf('session-of-bob')],
  ["nobody's", cancelled(1), NOBODY],
  ['one with the id as text', cancelled('1'), ADA],
  ['one without an id', cancelled(undefined), ADA],
  ['one of another method', { ...cancelled(1), method: 'notifications/initialized' }, ADA],
  ['one without params', { method: 'notifications/cancelled' }, ADA],
  ['none at all', null, ADA],
])('%s notification cancels nothing', (_name, body, asker) => {
  const calls = new CancellableCalls()
  const call = start(calls, 1, ADA)
  calls.cancelNamedBy(body, asker)
  expect(call.isCancelled).toBe(false)
})

test('of two calls with one id none is cancelled, of the one that is left it is', async () => {
  const calls = new CancellableCalls()
  const [first, second] = [start(calls, 7, ADA), start(calls, 7, ADA)]
  calls.cancelNamedBy(cancelled(7), ADA)
  expect([first.isCancelled, second.isCancelled]).toEqual([false, false])
  await first.end()
  calls.cancelNamedBy(cancelled(7), ADA)
  expect([first.isCancelled, second.isCancelled]).toEqual([false, true])
})

test('an anonymous call cannot be cancelled by anybody', () => {
  const calls = new CancellableCalls()
  const call = start(calls, 1, NOBODY)
  calls.cancelNamedBy(cancelled(1), NOBODY)
  expect(call.isCancelled).toBe(false)
})

test('a call that has ended is forgotten, also when it failed', async () => {
  const calls = new CancellableCalls()
  let signal: AbortSignal | undefined
  const failed = calls.run('a', ADA, async (given) => {
    signal = given
    throw new Error('failed')
  })
  await expect(failed).rejects.toThrow('failed')
  calls.cancelNamedBy(cancelled('a'), ADA)
  expect(signal?.aborted).toBe(false)
})
