/**
 * Public discovery documents, the same for every client.
 *
 * They only point to the endpoint; its tools and resources are listed there.
 */

import { isIP } from 'node:net'
import { MCP_PATH } from '../network/mcp-addresses.ts'
import { MODERN_PROTOCOL_VERSION } from './direct/recognise.ts'
import { LEGACY_PROTOCOL_VERSIONS } from './protocol/legacy.ts'
import { DESCRIPTION, SERVER_NAME, serverInfo } from './protocol/server-info.ts'

export const SERVER_CARD_PATH = '/mcp/server-card'
export const SERVER_CARD_TYPE = 'application/mcp-server-card+json'

/** The server card of the endpoint (SEP-2127, schema v1). */
export function serverCard(publicUrl: string) {
  const { title, version, websiteUrl, icons } = serverInfo(publicUrl)
  return {
    $schema: 'https://static.modelcontextprotocol.io/schemas/v1/server-card.schema.json',
    name: `${reversed(publisherOf(publicUrl))}/${SERVER_NAME}`,
    title,
    description: DESCRIPTION,
    version,
    websiteUrl,
    icons,
    remotes: [
      {
        type: 'streamable-http',
        url: `${publicUrl}${MCP_PATH}`,
        supportedProtocolVersions: [MODERN_PROTOCOL_VERSION, ...LEGACY_PROTOCOL_VERSIONS],
      },
    ],
  }
}

/**
 * What this host offers (AI Catalog specification 1.0). Without a display name: the card has one,
 * and the specification asks not to repeat it.
 */
export function aiCatalog(publicUrl: string) {
  return {
    specVersion: '1.0',
    entries: [
      {
        identifier: `urn:air:${publisherOf(publicUrl)}:mcp:${SERVER_NAME}`,
        type: SERVER_CARD_TYPE,
        url: `${publicUrl}${SERVER_CARD_PATH}`,
      },
    ],
  }
}

/** The public host in a form that names allow: an IPv6 address loses brackets and colons. */
const publisherOf = (publicUrl: string) =>
  new URL(publicUrl).hostname.replaceAll(/[[\]]/g, '').replaceAll(':', '-')

/** Reverse DNS, as server names require. An IP address stays as it is. */
const reversed = (host: string) => (isIP(host) ? host : host.split('.').reverse().join('.'))
