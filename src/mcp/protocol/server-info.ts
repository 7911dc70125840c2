/** What the gateway says of itself over MCP, in a form that both eras' SDKs accept. */

import { VERSION } from '../../version.ts'

export const SERVER_NAME = 'claude-api-gateway'

/** At most 100 characters (server card and registry schemas). */
export const DESCRIPTION =
  'A self-hosted gateway to Claude: keeps keys, conversations, usage and cost in one place.'

export type ServerInfo = ReturnType<typeof serverInfo>

/** The server's `Implementation` info in both eras; in 2026-07-28 it is in every answer. */
export function serverInfo(publicUrl: string) {
  return {
    name: SERVER_NAME,
    title: 'Claude API Gateway',
    version: VERSION,
    websiteUrl: `${publicUrl}/`,
    icons: [
      { src: `${publicUrl}/icon.svg`, mimeType: 'image/svg+xml', sizes: ['any'] },
      { src: `${publicUrl}/icon-96.png`, mimeType: 'image/png', sizes: ['96x96'] },
    ],
  }
}

/** Interval of keep-alive comments on a silent stream, so that proxies do not close it. */
export const KEEP_ALIVE_MS = 15_000
