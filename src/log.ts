/**
 * The logger, and what it never writes.
 *
 * Call sites pass chosen fields only, never a request, a body or a client object. The redaction
 * below is the second line of defence: a field by one of these names is cut wherever it turns up.
 */

import { type LogFn, type Logger as PinoLogger, pino } from 'pino'

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
/** Nothing that is logged is nearly as deep, and what goes round in circles ends. */
const MAX_DEPTH = 8

/**
 * The same fields, those cut that could hold a secret, however deep. pino's own redaction looks at
 * a list of paths, and copies every line for it.
 */
function withoutSecrets(fields: object, depth = 0): Record<string, unknown> {
  const shown = fields as Record<string, unknown>
  let changed: Record<string, unknown> | undefined
  for (const name of Object.keys(shown)) {
    const value = shown[name]
    // Of an error describeError makes something that can be shown.
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
 * An error as the log may show it: its class, its code, and where it was thrown.
 *
 * Not its message: a driver quotes parameters in it ("Key (email_key)=(…) already exists"), a
 * JSON parser quotes the body, and both can hold a secret or somebody's text. Our own messages are
 * written without either, so theirs are kept.
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

/** A stack begins with the message, and a message may have lines that look like frames. */
function framesOf({ stack = '', message }: Error): string[] {
  const frames = stack.slice(Math.max(0, stack.indexOf(message)) + message.length).split('\n')
  return frames.filter((line) => /^\s+at .*(:\d+\)?|\))$/.test(line)).map((line) => line.trim())
}

/** pino takes an error's own message for a line that has none. */
function inOurWords(args: Parameters<LogFn>): Parameters<LogFn> {
  const [first, message = 'failed', ...rest] = args as unknown as [unknown, string?, ...unknown[]]
  if (first instanceof Error) return [{ err: first }, message, ...rest] as Parameters<LogFn>
  const hasError = typeof first === 'object' && first !== null && 'err' in first
  return hasError ? ([first, message, ...rest] as unknown as Parameters<LogFn>) : args
}
