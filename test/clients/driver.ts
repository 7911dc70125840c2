/** What a client is to the trial, and what the trial gives it. */

import type { Program, StartOptions } from './program.ts'
import type { Site } from './site.ts'

/** A client that is installed, in a folder of its own, which is also its HOME. */
export type Workplace = {
  folder: string
  site: Site
  /** Starts a program of the client, or Node itself as `node`. Ended with the trial at the latest. */
  start(program: string, args: readonly string[], options?: StartOptions): Program
}

/** The five things that a client must be able to do; each throws with what it said where it cannot. */
export type Driven = {
  /** Tells the client the address, upon which it finds that its user has to sign in. */
  connect(): Promise<void>
  /** Set for one that cannot sign in itself. */
  signsInBy?: 'token'
  /** Lets its user sign in and approve, and the client find the tools. */
  signIn(): Promise<void>
  /**
   * Has it call a tool, also several at once.
   *
   * @param tool without the gateway's prefix.
   * @returns what the caller of the tool is told, failures too.
   */
  call(tool: string, args: Record<string, unknown>): Promise<string>
}

export type Driver = (place: Workplace) => Driven
