import { errorPage } from './error-page.ts'
import { document } from './layout.ts'

/** For somebody whom a client sent here with a request that cannot be served. */
export function oauthErrorPage({ error, description }: { error: string; description: string }) {
  const page = errorPage({ title: 'Cannot connect', message: `${description} (${error})` })
  return document(page, null).toString()
}
