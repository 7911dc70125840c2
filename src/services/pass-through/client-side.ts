/** What a call that passes through needs of the side it came from. */

import type { AppError } from '../../errors.ts'

/** A request whose caller is known, and whose body has arrived. */
export type IncomingCall = {
  /** The gateway's own id of it: `req_cag_…`. */
  requestId: string
  method: 'GET' | 'POST'
  /** With its query, as it was asked for. */
  path: string
  /** Names and values in turn. */
  rawHeaders: readonly string[]
  /** Decoded. Taken out once it is sent, so that it can be collected. */
  body: Buffer | null
  /** Called when the body is no longer needed. */
  onBodySent: () => void
}

/** Where the answer goes. Writing to a client that has left does nothing. */
export interface ClientAnswer {
  /** Aborted when the client leaves before the end. */
  readonly left: AbortSignal
  head(status: number, headers: Record<string, string | string[]>): void
  /** @param onDrain called once, when this call was the one too many. @returns whether to go on. */
  write(chunk: Buffer, onDrain: () => void): boolean
  end(): void
  /** Breaks off without an end, as the answer itself broke off. */
  cut(): void
  /** Tells the error, in the form that the answer so far allows. */
  fail(error: AppError): void
}
