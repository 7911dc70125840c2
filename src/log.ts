/**
 * The logger, and what it never writes.
 *
 * Call sites pass chosen fields only, never a request, a body or a client object. The redaction
 * below is the second line of defence: a field by one of these names is cut wherever it turns up.
 */

import { type Logger as PinoLogger, pino } from 'pino'

export type Logger = PinoLogger

/** Names under which a secret or somebody's text could travel. */
export const REDACTED_FIELDS = [
  'access_token',
  'accessToken',
  'anthropic_api_key',
  'apiKey',
  'authorization',
  'content',
  'cookie',
  'email',
  'encryptionKey',
  'idempotency_key',
  'message',
  'password',
  'prompt',
  'system_prompt',
  'systemPrompt',
  'text',
  'title',
  'token',
] as const

/** One JSON line per event on standard output. */
export function createLogger(level: string, destination?: { write(line: string): void }): Logger {
  const options = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    redact: {
      paths: REDACTED_FIELDS.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]),
      censor: '[redacted]',
    },
    serializers: { err: describeError },
  }
  return destination ? pino(options, destination) : pino(options)
}

/**
 * An error as the log may show it: its class, its code, and where it was thrown.
 *
 * Not its message: a driver quotes parameters in it ("Key (email_key)=(…) already exists"), a
 * JSON parser quotes the body, and both can hold a secret or somebody's text. Our own messages are
 * written without either, so theirs are kept.
 */
export function describeError(error: unknown): Record<string, unknown> {
  if (!(error instanceof Error)) return { type: typeof error }
  const { code, name } = error as Error & { code?: unknown }
  const frames = (error.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line))
  return {
    type: name,
    ...(name === 'AppError' || name === 'ConfigError' ? { reason: error.message } : {}),
    ...(typeof code === 'string' ? { code } : {}),
    stack: frames.slice(0, 12).map((line) => line.trim()),
    ...(error.cause === undefined ? {} : { cause: describeError(error.cause) }),
  }
}
