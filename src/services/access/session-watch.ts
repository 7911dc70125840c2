/**
 * Sessions for which something is waited for in this process: what they wait for must not reach them
 * once they have ended, and until then it must not cost a look at the database per piece of text.
 */

import { sessionEnded } from './authority.ts'
import type { Caller } from './caller.ts'
import type { SessionService } from './sessions.ts'

type Deps = { sessions: Pick<SessionService, 'isLive'> }

type OnText = ((textSoFar: string) => void) | undefined
/** `ended`: aborted when the session ended. `onText`: is not called after that. */
type Watched = { ended: AbortSignal; onText: OnText }

/** So long at most somebody whose session has ended is still shown a text as it grows. */
const LOOK_EVERY_MS = 1000

export class SessionWatch {
  readonly #deps: Deps
  readonly #watched = new Map<AbortController, Caller>()
  #timer: NodeJS.Timeout | undefined

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /**
   * Does the work, which waits for something, and keeps an eye on the caller's session meanwhile.
   *
   * @throws AppError unauthenticated when the session ended meanwhile, as far as that is known: what
   *   the work returns has to be looked at once more before it is handed out.
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

  /** All at once: their checks share a statement. */
  async #look(): Promise<void> {
    await Promise.all(
      [...this.#watched].map(async ([ended, caller]) => {
        // While that cannot be found out nobody is sent away.
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
