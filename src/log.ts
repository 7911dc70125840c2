/**
 * The logger, and what it never writes.
 *
 * Call sites pass chosen fields only, never a request, a body or a client object. The redaction
 * below is the second line of defence: a field with one of these names is redacted at any depth.
 */

import { type LogFn, type Logger as PinoLogger, pino } from 'pino'

export type Logger = PinoLogger

/** Names of fields that could hold a secret or a user's text. */
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
    formatters: { level: (label: string) => ({ level: label }), log: withoutSecrets },
    serializers: { err: describeError },
    hooks: {
      logMethod(this: Logger, args: Parameters<LogFn>, method: LogFn) {
        method.apply(this, inOurWords(args))
      },
    },
  }
  return destination ? pino(options, destination) : pino(options)
}

const redacted = new Set<string>(REDACTED_FIELDS)
/** Far deeper than anything that is logged; ends circular references. */
const MAX_DEPTH = 8

/**
 * Redacts fields that could hold a secret, at any depth. pino's own redaction needs a list of
 * paths, and copies every line.
 */
function withoutSecrets(fields: object, depth = 0): Record<string, unknown> {
  const shown = fields as Record<string, unknown>
  let changed: Record<string, unknown> | undefined
  for (const name of Object.keys(shown)) {
    const value = shown[name]
    // describeError makes the error safe to log.
    const kept = name === 'err' && depth === 0 ? value : cut(name, value, depth)
    if (kept === value) continue
    changed ??= { ...shown }
    changed[name] = kept
  }
  return changed ?? shown
}

function cut(name: string, value: unknown, depth: number): unknown {
  if (redacted.has(name)) return '[redacted]'
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return value
  if (depth === MAX_DEPTH) return '[too deep]'
  if (Array.isArray(value)) return Object.values(withoutSecrets(value, depth + 1))
  return withoutSecrets(value, depth + 1)
}

/**
 * An error in the log: its class, its code, and where it was thrown.
 *
 * Not its message: a driver quotes parameters in it ("Key (email_key)=(…) already exists"), a
 * JSON parser quotes the body, and both can hold a secret or a user's text. The gateway's own
 * errors contain neither, so their messages are kept.
 */
export function describeError(error: unknown): Record<string, unknown> {
  if (!(error instanceof Error)) return { type: typeof error }
  const { code, name } = error as Error & { code?: unknown }
  return {
    type: name,
    ...(name === 'AppError' || name === 'ConfigError' ? { reason: error.message } : {}),
    ...(typeof code === 'string' ? { code } : {}),
    stack: framesOf(error).slice(0, 12),
    ...(error.cause === undefined ? {} : { cause: describeError(error.cause) }),
  }
}

/** Cuts off the message, with which a stack begins: it may have lines that look like frames. */
function framesOf({ stack = '', message }: Error): string[] {
  const frames = stack.slice(Math.max(0, stack.indexOf(message)) + message.length).split('\n')
  return frames.filter((line) => /^\s+at .*(:\d+\)?|\))$/.test(line)).map((line) => line.trim())
}

/** Sets a message where there is none: pino would log that of the error. */
function inOurWords(args: Parameters<LogFn>): Parameters<LogFn> {
  const [first, message = 'failed', ...rest] = args as unknown as [unknown, string?, ...unknown[]]
  if (first instanceof Error) return [{ err: first }, message, ...rest] as Parameters<LogFn>
  const hasError = typeof first === 'object' && first !== null && 'err' in first
  return hasError ? ([first, message, ...rest] as unknown as Parameters<LogFn>) : args
}
