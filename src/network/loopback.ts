/** Hosts that name this computer, in the form in which a URL has them. */

export const LOOPBACK_NAMES = ['localhost', '127.0.0.1', '[::1]']

/** All interfaces: the name that others use is unknown. */
const NAMELESS = ['0.0.0.0', '[::]']

export const isLoopbackHost = (hostname: string): boolean =>
  LOOPBACK_NAMES.includes(hostname) || /^127(?:\.\d{1,3}){3}$/.test(hostname)

/** Names below localhost and the address of all interfaces included. */
export const isThisComputer = (hostname: string): boolean =>
  isLoopbackHost(hostname) || NAMELESS.includes(hostname) || hostname.endsWith('.localhost')
