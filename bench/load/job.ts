/** What the load generator is asked for, and what it tells. Passed between processes. */

export type Item = {
  /** Over the job's own: a token, a session. */
  headers?: Record<string, string>
  /** Replaces {{value}} in the body. */
  value?: string
}

export type Job = {
  connections: number
  /** No request begins after this. */
  seconds: number
  /** Of all connections together; unless given, time alone ends the job. */
  requests?: number | undefined
  /** Over which the connections begin, one after the other; all at once unless given. */
  rampSeconds?: number
  /** Connections are dealt out among them in turn. */
  origins: string[]
  path: string
  headers: Record<string, string>
  /** {{id}} becomes a number that no other request of the job has. */
  body: string
  /**
   * Dealt out to the connections in turn; each goes through its own again and again. Where there
   * are fewer items than connections, those left without go through all of them.
   */
  items: Item[]
  /** A response without this text is an error. */
  expect: string
  /** Whether to look for the time stamps of streamed text (servers/claude-answer.ts). */
  findsStamps?: boolean
}

/** All times in milliseconds, one for each good response, in the order they ended. */
export type LoadResult = {
  requests: number
  /** How many of each kind. */
  errors: Record<string, number>
  seconds: number
  latencies: Float64Array
  /** From the request to the first byte of the response's body. */
  firstBytes: Float64Array
  /** From the moment the stamped text was sent to the first byte of the body here. */
  stampToByte: Float64Array
  /** From the moment the stamped text was sent to its arrival here, in whatever message. */
  stampToText: Float64Array
}
