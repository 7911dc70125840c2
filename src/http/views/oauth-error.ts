import { html } from './html.ts'

/** For somebody whom a client sent here with a request that cannot be served. */
export function oauthErrorPage({ error, description }: { error: string; description: string }) {
  return html`<!doctype html><title>Cannot connect</title><h1>Cannot connect</h1><p>${description} (${error})</p>`.toString()
}
