/** Limits the cost of parsing a body, checked before it is parsed. */

const QUOTE = 0x22
const BACKSLASH = 0x5c
/** Each of these begins a value or separates it from the next. */
const COMMA = 0x2c
const OPEN_LIST = 0x5b
const OPEN_OBJECT = 0x7b
const CLOSE_LIST = 0x5d
const CLOSE_OBJECT = 0x7d

/** No client nests this deep; recursive code that walks the body would overflow the stack later. */
const MAX_DEPTH = 256

/**
 * For express.json's `verify`. A body of 4 MiB can hold two million nested lists, or a few hundred
 * thousand names: seconds of work before a rate limit could count them. Long strings are cheap and
 * pass.
 *
 * @throws Error that express.json passes on: too many values, nested too deeply, or not in UTF-8
 *   (RFC 8259, section 8.1).
 */
export function refuseCostlyShape(maxValues: number) {
  return (_req: unknown, _res: unknown, body: Uint8Array, charset: string): void => {
    if (charset !== 'utf-8') throw bodyError('charset.unsupported')
    const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength)
    const refused =
      bytes.length > Math.min(MAX_DEPTH, maxValues) ? costOf(bytes, maxValues) : undefined
    if (refused) throw bodyError(refused)
  }
}

function costOf(body: Buffer, maxValues: number): BodyErrorType | undefined {
  let values = 0
  let depth = 0
  for (let i = 0; i < body.length; i++) {
    const byte = body[i]
    if (byte === QUOTE) i = endOfText(body, i)
    else if (byte === COMMA) values += 1
    else if (byte === OPEN_LIST || byte === OPEN_OBJECT) {
      values += 1
      depth += 1
    } else if (byte === CLOSE_LIST || byte === CLOSE_OBJECT) depth -= 1
    if (values > maxValues) return 'entity.too.many'
    if (depth > MAX_DEPTH) return 'entity.too.deep'
  }
  return undefined
}

/** The index of the closing quote, or the length. Long strings are skipped natively. */
function endOfText(body: Buffer, start: number): number {
  let end = start
  do {
    end = body.indexOf(QUOTE, end + 1)
    if (end === -1) return body.length
  } while (isEscaped(body, start, end))
  return end
}

/** True for an odd number of backslashes before it. */
function isEscaped(body: Buffer, start: number, place: number): boolean {
  let before = place - 1
  while (before > start && body[before] === BACKSLASH) before -= 1
  return (place - before) % 2 === 0
}

/** The error types of express.json, and two of our own. */
const STATUS = {
  'charset.unsupported': 415,
  'entity.parse.failed': 400,
  'entity.too.deep': 400,
  'entity.too.large': 413,
  'entity.too.many': 413,
  'request.aborted': 400,
} as const

export type BodyErrorType = keyof typeof STATUS

/** An error in the form of express.json; error-handler.ts turns it into the answer. */
export const bodyError = (type: BodyErrorType) =>
  Object.assign(new Error('the body was refused'), { type, status: STATUS[type] })
