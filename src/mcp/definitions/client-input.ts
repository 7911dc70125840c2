/**
 * What a tool or prompt asks of the client before it can answer: a form or page for the user, a
 * sample of the client's model, its roots. It returns the requests, and runs again with the answers
 * (MCP 2026-07-28, multi-round-trip requests). Older clients are asked while the call waits.
 */

export type InputRequest = {
  method: 'elicitation/create' | 'sampling/createMessage' | 'roots/list'
  params?: Record<string, unknown>
}

export type InputRequired = {
  resultType: 'input_required'
  inputRequests?: Readonly<Record<string, InputRequest>>
  /** Comes back with the answers, from the client: unsigned state is not to be trusted. */
  requestState?: string
}

export type Client = {
  /** By the names of the requests, from the client and unvalidated; empty in the first run. */
  answers: Readonly<Record<string, unknown>>
  state: string | undefined
  /** What it declared; undefined before 2026-07-28, where no call repeats it. */
  capabilities: Readonly<Record<string, unknown>> | undefined
  /** Sends a notification on the stream of the call. */
  notify(notification: { method: string; params: Record<string, unknown> }): Promise<void>
}

/** For calls whose tool asks and notifies nothing. */
export const SILENT_CLIENT: Client = {
  answers: {},
  state: undefined,
  capabilities: undefined,
  notify: async () => {},
}

export const isInputRequired = (result: object): result is InputRequired =>
  'resultType' in result && result.resultType === 'input_required'
