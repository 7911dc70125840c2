import type { IncomingHttpHeaders } from 'node:http'
import { ApiError, invalid } from './api-error.ts'
import type { State } from './state.ts'
import { API_VERSIONS, type ApiVersion } from './wire.ts'

/** `x-api-key` wins over a bearer token (Anthropic API docs: Authentication). */
export function keyOf(headers: IncomingHttpHeaders): string | undefined {
  const header = headers['x-api-key']
  if (typeof header === 'string' && header !== '') return header
  return /^Bearer (.+)$/i.exec(headers.authorization ?? '')?.[1]
}

/** @throws ApiError 401 without a valid key. */
export function requireKey(headers: IncomingHttpHeaders, state: State): string {
  const key = keyOf(headers)
  if (key === undefined) throw new ApiError(401, 'x-api-key header is required')
  if (!state.isValidKey(key)) throw new ApiError(401, 'invalid x-api-key')
  return key
}

/** @throws ApiError 400 without a known version. */
export function requireVersion(headers: IncomingHttpHeaders): ApiVersion {
  const given = headers['anthropic-version']
  if (given === undefined) throw invalid('anthropic-version: header is required')
  const version = API_VERSIONS.find((known) => known === given)
  if (!version) throw invalid(`anthropic-version: "${String(given)}" is not a valid version`)
  return version
}

/** A beta feature brings fields of its own, here and in the answer. */
export const hasBeta = (headers: IncomingHttpHeaders): boolean =>
  headers['anthropic-beta'] !== undefined
