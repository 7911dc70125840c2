/**
 * The addresses of Anthropic's API that are served here. Matched exactly, before anything decodes
 * or tidies a path: what is not listed never reaches Anthropic.
 */

export type ApiRoute = {
  name: 'messages' | 'count_tokens' | 'models' | 'model' | 'hello'
  methods: readonly string[]
}

const ROUTES: readonly [RegExp, ApiRoute][] = [
  [/^\/v1\/messages$/, { name: 'messages', methods: ['POST'] }],
  [/^\/v1\/messages\/count_tokens$/, { name: 'count_tokens', methods: ['POST'] }],
  [/^\/v1\/models$/, { name: 'models', methods: ['GET'] }],
  [/^\/v1\/models\/[A-Za-z0-9_:-][A-Za-z0-9._:-]*$/, { name: 'model', methods: ['GET'] }],
  [/^\/api\/hello$/, { name: 'hello', methods: ['HEAD', 'GET'] }],
]

/** The path as it was asked for, without its query. */
export const rawPathOf = (url: string): string => url.split('?', 1)[0] as string

export function routeOf(path: string): ApiRoute | undefined {
  return ROUTES.find(([pattern]) => pattern.test(path))?.[1]
}

/** Whether an address is meant for Anthropic's API, however it is written. */
export function isApiPath(path: string): boolean {
  const tidy = tidied(path)
  return /^\/v1(?:\/|$)/.test(tidy) || tidy === '/api/hello' || lacksVersion(path)
}

/** Whether a client was given a base URL without `/v1` that needs one with it. */
export const lacksVersion = (path: string): boolean =>
  /^\/(messages|models)(\/|$)/.test(tidied(path))

const tidied = (path: string): string =>
  decoded(path).replaceAll('\\', '/').replace(/\/+/g, '/').toLowerCase()

function decoded(path: string): string {
  try {
    return decodeURIComponent(path)
  } catch {
    return path
  }
}
