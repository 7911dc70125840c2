/**
 * The package, loaded without the line it writes to standard error on Node 20: the gateway says
 * itself which Node versions it supports (README.md), and that output belongs to its own messages.
 */

export type {
  Adapter,
  AdapterPayload,
  Configuration,
  InteractionResults,
  KoaContextWithOIDC,
  Provider,
} from 'oidc-provider'

const { warn } = console
console.warn = (message: unknown, ...rest: unknown[]) => {
  if (!/^oidc-provider WARNING: Unsupported runtime/.test(String(message))) warn(message, ...rest)
}
const { errors, Provider: OidcProvider } = await import('oidc-provider')
console.warn = warn

export { errors, OidcProvider }
