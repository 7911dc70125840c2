/** Describes why nothing came of a request to an untrusted address: for the log, and for users. */

import { tunnelFailureOf } from '../outgoing.ts'

export type Reason = {
  /** For the operator. */
  logged: string
  /**
   * Public: does not reveal whether a name with an internal address exists, nor what listed
   * internal hosts answer.
   */
  shown: string
}

/** The host resolves to an internal address. */
export class NotPublic extends Error {
  constructor() {
    super('the host has an address that is not public')
  }
}

/** The proxy could not be reached, so no request was made. */
export class ProxyUnreached extends Error {
  readonly code: string
  constructor(code: string) {
    super('the proxy on the way could not be reached')
    this.code = code
  }
}

const NO_ADDRESS = 'its host has no public address that this gateway can find'
const IN_THE_LOG = 'the log of the gateway says why'

const BY_CODE: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'its host refused the connection',
  ECONNRESET: 'the connection broke',
  EHOSTUNREACH: 'there is no way to its host',
  ENETUNREACH: 'there is no way to its host',
  ETIMEDOUT: 'its host did not answer in time',
}

/**
 * @param isListed whether its host is one of those that may lie at private addresses.
 * @param setting that lists them.
 */
export function reasonOf(
  thrown: unknown,
  isListed: boolean,
  setting = 'PRIVATE_CLIENT_HOSTS',
): Reason {
  const error = thrown instanceof Error ? thrown : new Error(String(thrown))
  const words = wordsOf(error)
  const logged = error instanceof NotPublic ? `${error.message} (${setting})` : words
  const { code } = error as NodeJS.ErrnoException
  return {
    logged: typeof code === 'string' ? `${logged} (${code})` : logged,
    shown: isListed ? IN_THE_LOG : words,
  }
}

/** For an answer without a document. */
export function reasonOfStatus(status: number, isListed: boolean): Reason {
  const words = `it was answered with status ${status}`
  return { logged: words, shown: isListed ? IN_THE_LOG : words }
}

function wordsOf(error: Error): string {
  if (error instanceof ProxyUnreached) return error.message
  const { code = '', syscall = '' } = error as NodeJS.ErrnoException
  if (error instanceof NotPublic || /^(query|getaddrinfo)/.test(syscall)) return NO_ADDRESS
  const tunnel = tunnelFailureOf(error)
  if (tunnel && 'status' in tunnel) return `the proxy on the way refused it (${tunnel.status})`
  if (/TimeoutError|AbortError/.test(error.name)) return 'its host did not answer in time'
  if (/CERT|SELF_SIGNED|UNABLE_TO_/.test(code)) {
    return 'its host has no certificate that this gateway trusts'
  }
  return BY_CODE[code] ?? error.message
}
