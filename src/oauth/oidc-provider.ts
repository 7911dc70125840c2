/**
 * The package, imported without the warning it prints on Node 20: the gateway documents its
 * supported Node versions itself (README.md), and standard error is for its own messages.
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
