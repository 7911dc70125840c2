/** Progress notifications, throttled before anything is serialised. */

import { endOf } from '../../text/whole-text.ts'

/** Not more often than this; clients show one line and redraw it. */
const MIN_INTERVAL_MS = 300
/** Claude Code shows so much of a progress message. */
const MAX_MESSAGE_LENGTH = 200

type Send = (progress: number, message: string) => Promise<void>
type Options = { isTaken: () => boolean }

/**
 * A function that takes the text so far, at any rate, and passes on its newest end.
 *
 * `progress` rises strictly, as the specification demands: it is the length of the text. A
 * notification that cannot be delivered (the client is gone) is dropped; so is one while the client
 * has not taken what it was sent before: the next that it gets is the newest then.
 */
export function throttledProgress(send: Send, { isTaken }: Options): (textSoFar: string) => void {
  let lastSentAt = Number.NEGATIVE_INFINITY
  let lastLength = 0
  return (textSoFar) => {
    const now = performance.now()
    if (textSoFar.length <= lastLength || now - lastSentAt < MIN_INTERVAL_MS) return
    if (!isTaken()) return
    lastSentAt = now
    lastLength = textSoFar.length
    send(textSoFar.length, newestPart(textSoFar)).catch(() => {})
  }
}

/** For a client that asked for no progress. */
export const noProgress = () => {}

function newestPart(text: string): string {
  const line = endOf(text, MAX_MESSAGE_LENGTH * 2)
    .replace(/\s+/g, ' ')
    .trim()
  return line.length <= MAX_MESSAGE_LENGTH ? line : `…${endOf(line, MAX_MESSAGE_LENGTH - 1)}`
}
