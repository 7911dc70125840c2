/** Progress notifications, throttled before anything is serialised. */

import { endOf } from '../../text/whole-text.ts'

/** Minimum interval; clients show one line and redraw it. */
const MIN_INTERVAL_MS = 300
/** Claude Code shows this much of a progress message. */
const MAX_MESSAGE_LENGTH = 200

type Send = (progress: number, message: string) => Promise<void>
type Options = { isTaken: () => boolean }

type ProgressNotification = {
  method: 'notifications/progress'
  params: { progressToken: string | number; progress: number; message: string }
}

/**
 * What a call reports its text to: notifications with the client's token, or nothing without one.
 *
 * @param notify sends one notification in the form of its era.
 */
export function progressWith(
  progressToken: string | number | undefined,
  notify: (notification: ProgressNotification) => void | Promise<void>,
  options: Options,
): (textSoFar: string) => void {
  if (progressToken === undefined) return noProgress
  return throttledProgress(
    async (progress, message) =>
      notify({ method: 'notifications/progress', params: { progressToken, progress, message } }),
    options,
  )
}

/**
 * Returns a function that takes the text so far, at any rate, and sends its newest end.
 *
 * `progress` is the length of the text, so it increases strictly, as the specification requires. A
 * notification is dropped when it cannot be delivered (the client is gone), and while the client
 * has not read the one before; the next one then sent is the newest.
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

/** For a client that requested no progress. */
const noProgress = () => {}

function newestPart(text: string): string {
  const line = endOf(text, MAX_MESSAGE_LENGTH * 2)
    .replace(/\s+/g, ' ')
    .trim()
  return line.length <= MAX_MESSAGE_LENGTH ? line : `…${endOf(line, MAX_MESSAGE_LENGTH - 1)}`
}
