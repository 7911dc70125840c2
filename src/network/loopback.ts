/** Hosts that name this computer, in the form in which a URL has them. */

export const LOOPBACK_NAMES = ['localhost', '127.0.0.1', '[::1]']

/** The address of all interfaces, which does not tell the name by which others reach it. */
export const isNameless = (hostname: string): boolean => ['0.0.0.0', '[::]'].includes(hostname)

export const isLoopbackHost = (hostname: string): boolean =>
  LOOPBACK_NAMES.includes(hostname) || /^127(?:\.\d{1,3}){3}$/.test(hostname)

/** Names below localhost included (RFC 6761): no other computer reaches it by this host. */
export const isOnlyThisComputer = (hostname: string): boolean =>
  isLoopbackHost(hostname) || hostname.endsWith('.localhost')

/** The address of all interfaces included. */
export const isThisComputer = (hostname: string): boolean =>
  isOnlyThisComputer(hostname) || isNameless(hostname)
