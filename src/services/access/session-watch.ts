/**
 * Watches the sessions of callers that wait for something in this process: after its session ends a
 * caller receives nothing more. Polls the database instead of checking for every piece of text.
 */

import { accessEnded, sessionEnded } from './authority.ts'
import type { Caller } from './caller.ts'
import type { SessionService } from './sessions.ts'

type Deps = { sessions: Pick<SessionService, 'isLive'> }

/** Whether a caller who does not own what they wait for still may see it. */
type MaySee = (() => Promise<boolean>) | undefined

type OnText = ((textSoFar: string) => void) | undefined
/** `ended`: aborted when the session has ended. `onText` is not called after that. */
type Watched = { ended: AbortSignal; onText: OnText }

/** The longest that a caller still receives text after its session has ended. */
const LOOK_EVERY_MS = 1000

export class SessionWatch {
  readonly #deps: Deps
  readonly #watched = new Map<AbortController, { caller: Caller; maySee: MaySee }>()
  #timer: NodeJS.Timeout | undefined

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /**
   * Runs the work and watches the caller's session meanwhile, and, with `maySee`, their access.
   *
   * @throws AppError unauthenticated or access_ended when either is known to have ended meanwhile:
   *   check again before handing out the result.
   */
  async during<T>(
    caller: Caller,
    onText: OnText,
    work: (watched: Watched) => Promise<T>,
    maySee?: MaySee,
  ): Promise<T> {
    const ended = new AbortController()
    const shown = onText && ((text: string) => void (ended.signal.aborted || onText(text)))
    this.#watched.set(ended, { caller, maySee })
    this.#timer ??= setInterval(() => void this.#look(), LOOK_EVERY_MS).unref()
    try {
      const done = await work({ ended: ended.signal, onText: shown })
      if (ended.signal.aborted) throw ended.signal.reason
      return done
    } finally {
      this.#watched.delete(ended)
      if (this.#watched.size === 0) this.#rest()
    }
  }

  /** Checks all sessions at once, so that they share a statement. */
  async #look(): Promise<void> {
    await Promise.all(
      [...this.#watched].map(async ([ended, { caller, maySee }]) => {
        // While a check fails, nothing counts as ended.
        const isLive = await this.#deps.sessions.isLive(caller).catch(() => true)
        if (!isLive) ended.abort(sessionEnded([caller.kind]))
        const isSeen = (await maySee?.().catch(() => true)) ?? true
        if (!isSeen) ended.abort(accessEnded())
      }),
    )
  }

  #rest(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
  }
}
