/**
 * Watches the sessions of callers that wait for something in this process: after its session ends a
 * caller receives nothing more. Polls the database instead of checking for every piece of text.
 */

import { sessionEnded } from './authority.ts'
import type { Caller } from './caller.ts'
import type { SessionService } from './sessions.ts'

type Deps = { sessions: Pick<SessionService, 'isLive'> }

type OnText = ((textSoFar: string) => void) | undefined
/** `ended`: aborted when the session has ended. `onText` is not called after that. */
type Watched = { ended: AbortSignal; onText: OnText }

/** The longest that a caller still receives text after its session has ended. */
const LOOK_EVERY_MS = 1000

export class SessionWatch {
  readonly #deps: Deps
  readonly #watched = new Map<AbortController, Caller>()
  #timer: NodeJS.Timeout | undefined

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /**
   * Runs the work and watches the caller's session meanwhile.
   *
   * @throws AppError unauthenticated when the session is known to have ended meanwhile: check the
   *   session again before handing out the result.
   */
  async during<T>(
    caller: Caller,
    onText: OnText,
    work: (watched: Watched) => Promise<T>,
  ): Promise<T> {
    const ended = new AbortController()
    const shown = onText && ((text: string) => void (ended.signal.aborted || onText(text)))
    this.#watched.set(ended, caller)
    this.#timer ??= setInterval(() => void this.#look(), LOOK_EVERY_MS).unref()
    try {
      const done = await work({ ended: ended.signal, onText: shown })
      if (ended.signal.aborted) throw sessionEnded([caller.kind])
      return done
    } finally {
      this.#watched.delete(ended)
      if (this.#watched.size === 0) this.#rest()
    }
  }

  /** Checks all sessions at once, so that they share a statement. */
  async #look(): Promise<void> {
    await Promise.all(
      [...this.#watched].map(async ([ended, caller]) => {
        // While the check fails, the session counts as live.
        const isLive = await this.#deps.sessions.isLive(caller).catch(() => true)
        if (!isLive) ended.abort()
      }),
    )
  }

  #rest(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
  }
}
