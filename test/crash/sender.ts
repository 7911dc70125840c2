/** One client that sends message after message, and repeats each until it knows how it ended. */

import { randomBytes, randomInt } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Line, Result } from './calls.ts'
import type { Observations } from './observations.ts'

export type Habits = {
  /** Of a hundred calls, how many break their connection on the way. */
  vanishPercent: number
}

type Message = { key: string; text: string; conversationId: string | undefined }

/** A client that does not know how its message ended repeats it for so long. */
const PERSISTENCE_MS = 60_000
const TURNS_PER_CONVERSATION = 3
/** Of a hundred that vanish, how many never come back. */
const GONE_FOR_GOOD_PERCENT = 30

export class Sender {
  readonly #number: number
  readonly #line: Line
  readonly #seen: Observations
  readonly #habits: Habits
  readonly #payWith: string | undefined
  #turns = 0
  #conversationId: string | undefined

  /** @param payWith who pays; undefined: the sender. */
  constructor(number: number, line: Line, seen: Observations, habits: Habits, payWith?: string) {
    this.#number = number
    this.#line = line
    this.#seen = seen
    this.#habits = habits
    this.#payWith = payWith
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#deliver(this.#newMessage())
      await sleep(randomInt(200))
    }
  }

  #newMessage(): Message {
    if (++this.#turns % TURNS_PER_CONVERSATION === 0) this.#conversationId = undefined
    const key = `key-${randomBytes(8).toString('hex')}`
    this.#seen.keys.add(key)
    const text = `${key} ${'lorem ipsum '.repeat(randomInt(60))}`.trim()
    return { key, text, conversationId: this.#conversationId }
  }

  /** Same text, same key, until it is answered, refused for good, or given up. */
  async #deliver(message: Message): Promise<void> {
    const until = performance.now() + PERSISTENCE_MS
    while (performance.now() < until) {
      const isLeaving = randomInt(100) < this.#habits.vanishPercent
      const asked = this.#ask(message).catch((error: Error) => {
        if (!isLeaving) this.#seen.failures.push(`${error.message} ${error.cause ?? ''}`)
        return undefined
      })
      if (isLeaving && (await this.#leave(asked))) return
      const result = await asked
      if (result && this.#isOver(message, result)) return this.#maybeAskAgain(message)
      this.#seen.repeats += 1
      await sleep(100 + randomInt(400))
    }
    this.#seen.end('given up')
  }

  /** A running answer is collected by its id, or by its key. */
  async #ask({ key, text, conversationId }: Message): Promise<Result> {
    const wait_seconds = [0, 1, 5][randomInt(3)] as number
    const args = {
      message: text,
      idempotency_key: key,
      conversation_id: conversationId,
      ...(this.#payWith && { pay_with: this.#payWith }),
    }
    const sent = await this.#line.call('send_message', { ...args, wait_seconds })
    if (sent.data?.status !== 'running' || randomInt(2) === 0) return sent
    const { message_id } = sent.data
    this.#seen.announced.set(message_id, this.#number)
    return this.#line.call('get_message', { message_id, wait_seconds: 5 })
  }

  /** @returns whether for good. */
  async #leave(asked: Promise<unknown>): Promise<boolean> {
    await Promise.race([asked, sleep(randomInt(2500))])
    this.#seen.vanished += 1
    await this.#line.vanish()
    await asked
    if (randomInt(100) < GONE_FOR_GOOD_PERCENT) {
      this.#conversationId = undefined
      return true
    }
    await sleep(randomInt(3000))
    return false
  }

  /** Notes what was said, and whether a repeat could change it. */
  #isOver(message: Message, { data, error }: Result): boolean {
    const told = data ?? error?.details
    if (told?.message_id) this.#seen.announced.set(told.message_id, this.#number)
    if (error) {
      this.#seen.failures.push(error.code)
      if (error.retryable) return false
      this.#seen.end(error.code)
      return true
    }
    if (data.status === 'running') return false
    if (data.status !== 'complete') {
      this.#seen.end(data.status)
      return true
    }
    this.#acknowledge(message, data)
    return true
  }

  #acknowledge({ key, text }: Message, data: Result): void {
    const { message_id: messageId, conversation_id: conversationId, content } = data
    if (content !== text) this.#seen.contradictions.push(`${key} was answered with something else`)
    this.#seen.acknowledge({ sender: this.#number, key, text, messageId, conversationId })
    this.#conversationId = conversationId
  }

  /** A repeat of what was acknowledged must say the same. */
  async #maybeAskAgain(message: Message): Promise<void> {
    if (!this.#seen.acknowledged.has(message.key) || randomInt(5) > 0) return
    const again = await this.#ask(message).catch(() => undefined)
    if (again?.data) this.#isOver(message, again)
    else if (again && !again.error.retryable) {
      this.#seen.contradictions.push(`${message.key} was answered, then ${again.error.code}`)
    }
  }
}
