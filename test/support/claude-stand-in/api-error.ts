/** The error type the API names for each status (Anthropic API docs: Errors). */
const TYPE_BY_STATUS: Record<number, string> = {
  400: 'invalid_request_error',
  401: 'authentication_error',
  402: 'billing_error',
  403: 'permission_error',
  404: 'not_found_error',
  409: 'conflict_error',
  413: 'request_too_large',
  422: 'invalid_request_error',
  429: 'rate_limit_error',
  500: 'api_error',
  504: 'timeout_error',
  529: 'overloaded_error',
}

/** A refusal as the API words it: everything needed to write the error response. */
export class ApiError extends Error {
  override readonly name = 'ApiError'
  readonly status: number
  readonly type: string
  readonly details: Record<string, unknown> | undefined
  readonly headers: Record<string, string>

  constructor(
    status: number,
    message: string,
    extra: {
      type?: string | undefined
      details?: Record<string, unknown> | undefined
      headers?: Record<string, string> | undefined
    } = {},
  ) {
    super(message)
    this.status = status
    this.type =
      extra.type ??
      TYPE_BY_STATUS[status] ??
      (status >= 500 ? 'api_error' : 'invalid_request_error')
    this.details = extra.details
    this.headers = extra.headers ?? {}
  }
}

/** 400 `invalid_request_error`. */
export function invalid(message: string): ApiError {
  return new ApiError(400, message)
}

/** The status that carries an error type outside of a stream; 500 for unknown types. */
export function statusOfType(type: string): number {
  const found = Object.entries(TYPE_BY_STATUS).find(([, name]) => name === type)
  return found ? Number(found[0]) : 500
}

/** The JSON body of an error response and of a stream's `error` event. */
export function errorBody(
  error: Pick<ApiError, 'type' | 'message' | 'details'>,
  requestId: string,
): string {
  const { type, message, details } = error
  return JSON.stringify({
    type: 'error',
    error: { type, message, ...(details && { details }) },
    request_id: requestId,
  })
}
