/** What programs on these libraries write to sign in: the libraries leave keeping things to them. */

import { randomUUID } from 'node:crypto'

const REDIRECT = 'http://127.0.0.1:49152/callback'

/** @param onAuthorize hears where the user has to go. */
export function newProvider(onAuthorize) {
  const kept = {}
  const state = randomUUID()
  return {
    redirectUrl: REDIRECT,
    clientMetadata: {
      client_name: 'A program',
      redirect_uris: [REDIRECT],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
    },
    state: () => state,
    storedState: () => state,
    clientInformation: () => kept.client,
    saveClientInformation: (client) => {
      kept.client = client
    },
    tokens: () => kept.tokens,
    saveTokens: (tokens) => {
      kept.tokens = tokens
    },
    codeVerifier: () => kept.verifier,
    saveCodeVerifier: (verifier) => {
      kept.verifier = verifier
    },
    discoveryState: () => kept.discovery,
    saveDiscoveryState: (discovery) => {
      kept.discovery = discovery
    },
    redirectToAuthorization: (url) => onAuthorize(url.href),
  }
}
