/**
 * All errors of the gateway, by the code that callers see.
 *
 * An AppError may be thrown anywhere below the edges; the Express error handler and the MCP tool
 * runner are the only places that turn one into a status or a result. Its message is written for
 * the person or model that reads it: what is wrong and what to do, never a secret, never message
 * text. One whose message names a tool or an argument, and which a page may show, says the same
 * without them in `onPages`. Anything else that is thrown is a bug: logged, and shown as `internal`.
 */

/** The HTTP status of each code, and whether a retry may succeed later. */
export const ERROR_CODES = {
  invalid_input: { status: 400, retryable: false },
  invalid_api_key: { status: 400, retryable: false },
  api_key_missing: { status: 400, retryable: false },
  team_key_missing: { status: 400, retryable: false },
  payer_required: { status: 403, retryable: false },
  idempotency_conflict: { status: 409, retryable: false },
  unauthenticated: { status: 401, retryable: false },
  invalid_credentials: { status: 401, retryable: false },
  forbidden: { status: 403, retryable: false },
  insufficient_scope: { status: 403, retryable: false },
  proof_required: { status: 403, retryable: false },
  access_ended: { status: 403, retryable: false },
  share_refused: { status: 409, retryable: false },
  confirmation_required: { status: 409, retryable: false },
  registration_closed: { status: 403, retryable: false },
  policy_blocked: { status: 400, retryable: false },
  not_found: { status: 404, retryable: false },
  method_not_allowed: { status: 405, retryable: false },
  username_taken: { status: 409, retryable: false },
  email_taken: { status: 409, retryable: false },
  conversation_busy: { status: 409, retryable: true },
  request_too_large: { status: 413, retryable: false },
  rate_limited: { status: 429, retryable: true },
  overloaded: { status: 503, retryable: true },
  database_unavailable: { status: 503, retryable: true },
  shutting_down: { status: 503, retryable: true },
  model_retired: { status: 400, retryable: false },
  model_not_available: { status: 404, retryable: false },
  context_too_long: { status: 400, retryable: false },
  model_price_unknown: { status: 400, retryable: false },
  budget_exceeded: { status: 402, retryable: false },
  storage_full: { status: 507, retryable: false },
  spend_limit: { status: 400, retryable: false },
  spend_limit_reached: { status: 429, retryable: false },
  upstream_invalid_request: { status: 400, retryable: false },
  upstream_key_rejected: { status: 400, retryable: false },
  upstream_billing: { status: 402, retryable: false },
  upstream_forbidden: { status: 403, retryable: false },
  upstream_conflict: { status: 409, retryable: true },
  upstream_timeout: { status: 504, retryable: true },
  upstream_unavailable: { status: 502, retryable: true },
  cancelled: { status: 499, retryable: true },
  interrupted: { status: 503, retryable: true },
  internal: { status: 500, retryable: false },
} as const satisfies Record<string, { status: number; retryable: boolean }>

export type ErrorCode = keyof typeof ERROR_CODES

export const isErrorCode = (code: string | null): code is ErrorCode =>
  code !== null && Object.hasOwn(ERROR_CODES, code)

/** Limit of one day: clients obey `Retry-After`, and no process should wait longer. */
const LONGEST_RETRY_AFTER_SECONDS = 86_400

/**
 * Machine-readable facts for the caller, under their names on the wire: a replacement model, a
 * request id, and which arguments are wrong.
 */
type Details = Record<string, unknown> & {
  /** The one argument that a rule of the service refused: the caller corrects this one. */
  field?: string
  /** All arguments that the tool's schema refused before it ran. */
  fields?: string[]
  /** The tool that asks for a higher limit, without a prefix: clients are told the name in their list. */
  raise_with?: string
}

type Extra = {
  /** Whole seconds after which a retry may succeed; limited to one day. */
  retryAfterSeconds?: number | undefined
  details?: Details | undefined
  /** Overrides the code's default. */
  retryable?: boolean | undefined
  /**
   * What a person in a browser reads instead of the message, where what to do is done on a page. For
   * the pages alone: no result, body or log has it.
   */
  onPages?: string | undefined
  /** For the log only. */
  cause?: unknown
}

export class AppError extends Error {
  override readonly name = 'AppError'
  readonly code: ErrorCode
  readonly retryable: boolean
  readonly retryAfterSeconds: number | undefined
  readonly details: Details | undefined
  /** For the pages alone: see {@link Extra}. */
  readonly onPages: string | undefined

  constructor(code: ErrorCode, message: string, extra: Extra = {}) {
    super(message, extra.cause === undefined ? undefined : { cause: extra.cause })
    this.code = code
    this.retryable = extra.retryable ?? ERROR_CODES[code].retryable
    this.retryAfterSeconds = withinADay(extra.retryAfterSeconds)
    this.details = extra.details
    this.onPages = extra.onPages
  }

  get status(): number {
    return ERROR_CODES[this.code].status
  }
}

const withinADay = (seconds: number | undefined): number | undefined =>
  seconds === undefined ? undefined : Math.min(seconds, LONGEST_RETRY_AFTER_SECONDS)

/** Converts anything thrown to an error that callers may see. */
export function toAppError(thrown: unknown): AppError {
  if (thrown instanceof AppError) return thrown
  return new AppError('internal', 'Something went wrong inside the gateway. It has been logged.', {
    cause: thrown,
  })
}

/** The same error with more details, or others under the same names. */
export function withDetails(error: AppError, details: Details): AppError {
  const { code, message, onPages, retryable, retryAfterSeconds, cause } = error
  const all = { ...error.details, ...details }
  return new AppError(code, message, { onPages, retryable, retryAfterSeconds, cause, details: all })
}

/** Whether the database was unavailable, so that a retry may succeed once it is back. */
export function isDatabaseGone(thrown: unknown): boolean {
  return thrown instanceof AppError && thrown.code === 'database_unavailable'
}

/** The body of a failure, the same in a tool result and in an HTTP response (design: Results). */
export function toErrorBody(error: AppError) {
  return {
    success: false as const,
    error: {
      code: error.code,
      message: error.message,
      retryable: error.retryable,
      ...(error.retryAfterSeconds === undefined
        ? {}
        : { retry_after_seconds: error.retryAfterSeconds }),
      ...(error.details === undefined ? {} : { details: error.details }),
    },
  }
}
