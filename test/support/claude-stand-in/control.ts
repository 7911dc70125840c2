import { ApiError } from './api-error.ts'
import type { Exchange } from './exchange.ts'
import type { Fault } from './faults.ts'
import type { Reply } from './reply.ts'
import type { State } from './state.ts'

export const CONTROL_PREFIX = '/__stand-in/'

/**
 * Remote control under `/__stand-in/`, for a stand-in in another process: `POST script` (a fault or
 * a list of them), `POST reply` (a reply, or null for the echo), `POST keys` (a list, or null for
 * any), `POST reset`, `GET journal`, `GET billed[?key=]`, `GET streams`. No key is asked for.
 *
 * @throws ApiError 404 for anything else, 400 for an unknown fault.
 */
export function control(state: State, exchange: Exchange): void {
  const { method, path, json } = exchange.entry
  const { pathname, searchParams } = new URL(path, 'http://stand-in')
  const result = command(
    `${method} ${pathname.slice(CONTROL_PREFIX.length)}`,
    json,
    searchParams,
    state,
  )
  exchange.sendJson(200, JSON.stringify(result ?? { ok: true }))
}

function command(name: string, json: unknown, query: URLSearchParams, state: State): unknown {
  switch (name) {
    case 'POST script':
      return script(json, state)
    case 'POST reply':
      state.reply = (json as Reply | null) ?? undefined
      return
    case 'POST keys':
      return state.setValidKeys((json as string[] | null) ?? undefined)
    case 'POST reset':
      return state.reset()
    case 'GET journal':
      return state.journal.entries
    case 'GET billed':
      return state.ledger.billed(query.get('key') ?? undefined)
    case 'GET streams':
      return state.streams
    default:
      throw new ApiError(404, 'Not found')
  }
}

function script(json: unknown, state: State): void {
  try {
    state.faults.add([json].flat() as Fault[])
  } catch (error) {
    throw new ApiError(400, String(error))
  }
}
