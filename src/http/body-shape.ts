/** What parsing a body may cost, judged before it is parsed. */

const QUOTE = 0x22
const BACKSLASH = 0x5c
/** Each begins a value, or separates it from the next. */
const COMMA = 0x2c
const OPEN_LIST = 0x5b
const OPEN_OBJECT = 0x7b

/**
 * For express.json's `verify`. A body of 4 MiB can be two million lists in one another, or a few
 * hundred thousand names: seconds of work for anybody, before a limit could count them. Long texts
 * cost nothing of the kind and pass.
 *
 * @throws Error that express.json passes on: too large, or not in UTF-8 (RFC 8259, section 8.1).
 */
export function refuseManyValues(maxValues: number) {
  return (_req: unknown, _res: unknown, body: Uint8Array, charset: string): void => {
    if (charset !== 'utf-8') throw bodyError('charset.unsupported')
    if (body.length > maxValues && holdsMoreThan(maxValues, body)) {
      throw bodyError('entity.too.large')
    }
  }
}

function holdsMoreThan(maxValues: number, body: Uint8Array): boolean {
  let values = 0
  let isText = false
  for (let i = 0; i < body.length; i++) {
    const byte = body[i]
    if (byte === QUOTE) isText = !isText
    else if (isText) i += byte === BACKSLASH ? 1 : 0
    else if (byte === COMMA || byte === OPEN_LIST || byte === OPEN_OBJECT) values += 1
    if (values > maxValues) return true
  }
  return false
}

/** As express.json says what is wrong with a body; error-handler.ts says it to the client. */
export const bodyError = (type: string) =>
  Object.assign(new Error('the body was refused'), { type })
