/**
 * Strict JSON (RFC 8259) over bytes, without building values: reports where each one begins and
 * ends. Strings are neither decoded nor copied, so that megabytes of base64 cost one pass.
 *
 * Stricter than JSON.parse in two ways: nesting is bounded, and the bytes must be UTF-8 without a
 * byte order mark. Two parsers that read the same text differently would be a way around a budget.
 */

import { isUtf8 } from 'node:buffer'

/** Offsets are of the contents of a string, without its quotes. */
export interface JsonHandler {
  open(isArray: boolean): void
  close(isArray: boolean): void
  key(start: number, end: number, isEscaped: boolean): void
  string(start: number, end: number, isEscaped: boolean): void
  /** A number, `true`, `false` or `null`; `first` is its first byte. */
  scalar(start: number, end: number, first: number): void
}

/** Why a text is not acceptable; the words continue "the request body". */
export class JsonProblem extends Error {
  override readonly name = 'JsonProblem'
}

export const MAX_DEPTH = 200

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COLON = 0x3a
const COMMA = 0x2c
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d
const OPEN_ARRAY = 0x5b
const CLOSE_ARRAY = 0x5d
const MINUS = 0x2d
const ZERO = 0x30
const LOWER_U = 0x75

type Expected = 'value' | 'valueOrEnd' | 'key' | 'keyOrEnd' | 'colon' | 'commaOrEnd' | 'nothing'

export class JsonScanner {
  readonly #bytes: Buffer
  readonly #handler: JsonHandler
  /** Whether each open level is an array. */
  readonly #levels: boolean[] = []
  #at = 0
  #expected: Expected = 'value'
  /** Start of an unfinished string, or -1. */
  #stringStart = -1
  #isKey = false
  #isEscaped = false

  /** @throws JsonProblem unless the bytes are UTF-8 without a byte order mark. */
  constructor(bytes: Buffer, handler: JsonHandler) {
    this.#bytes = bytes
    this.#handler = handler
    if (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) {
      throw new JsonProblem('begins with a byte order mark')
    }
    if (!isUtf8(bytes)) throw new JsonProblem('is not valid UTF-8')
  }

  /**
   * Reads on for about `mostBytes`.
   *
   * @returns whether the text has been read to its end.
   * @throws JsonProblem
   */
  run(mostBytes: number): boolean {
    const { length } = this.#bytes
    const end = Math.min(length, this.#at + mostBytes)
    while (this.#at < end) {
      if (this.#stringStart >= 0) this.#readString(end)
      else this.#readToken(this.#bytes[this.#at] as number)
    }
    if (this.#at < length) return false
    if (this.#stringStart >= 0 || this.#expected !== 'nothing') throw broken('ends too early')
    return true
  }

  #readToken(byte: number) {
    if (byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09) {
      this.#at += 1
      return
    }
    switch (this.#expected) {
      case 'valueOrEnd':
        if (byte === CLOSE_ARRAY) return this.#close(true)
        return this.#readValue(byte)
      case 'value':
        return this.#readValue(byte)
      case 'keyOrEnd':
        if (byte === CLOSE_OBJECT) return this.#close(false)
        return this.#beginKey(byte)
      case 'key':
        return this.#beginKey(byte)
      case 'colon':
        if (byte !== COLON) throw broken('lacks a colon')
        return this.#pass('value')
      case 'commaOrEnd':
        return this.#readSeparator(byte)
      case 'nothing':
        throw broken('has more than one value')
    }
  }

  #readSeparator(byte: number) {
    const isArray = this.#levels.at(-1) === true
    if (byte === COMMA) return this.#pass(isArray ? 'value' : 'key')
    if (byte === (isArray ? CLOSE_ARRAY : CLOSE_OBJECT)) return this.#close(isArray)
    throw broken('lacks a comma')
  }

  #pass(expected: Expected): void {
    this.#at += 1
    this.#expected = expected
  }

  #beginKey(byte: number): void {
    if (byte !== QUOTE) throw broken('has a name without quotes')
    this.#beginString(true)
  }

  #readValue(byte: number): void {
    if (byte === QUOTE) this.#beginString(false)
    else if (byte === OPEN_OBJECT) this.#open(false)
    else if (byte === OPEN_ARRAY) this.#open(true)
    else this.#readScalar(byte)
  }

  #open(isArray: boolean): void {
    if (this.#levels.length >= MAX_DEPTH) throw new JsonProblem('is nested too deeply')
    this.#levels.push(isArray)
    this.#handler.open(isArray)
    this.#pass(isArray ? 'valueOrEnd' : 'keyOrEnd')
  }

  #close(isArray: boolean): void {
    this.#levels.pop()
    this.#handler.close(isArray)
    this.#pass(this.#levels.length === 0 ? 'nothing' : 'commaOrEnd')
  }

  #beginString(isKey: boolean): void {
    this.#at += 1
    this.#stringStart = this.#at
    this.#isKey = isKey
    this.#isEscaped = false
  }

  #readString(end: number) {
    const bytes = this.#bytes
    let at = this.#at
    while (at < end) {
      const byte = bytes[at] as number
      if (byte === QUOTE) return this.#endString(at)
      if (byte === BACKSLASH) at = this.#passEscape(at)
      else if (byte < 0x20) throw broken('has a control character in a string')
      else at += 1
    }
    this.#at = at
  }

  #endString(at: number): void {
    const start = this.#stringStart
    this.#stringStart = -1
    this.#at = at + 1
    if (this.#isKey) {
      this.#expected = 'colon'
      this.#handler.key(start, at, this.#isEscaped)
    } else {
      this.#endValue()
      this.#handler.string(start, at, this.#isEscaped)
    }
  }

  #endValue(): void {
    this.#expected = this.#levels.length === 0 ? 'nothing' : 'commaOrEnd'
  }

  /** @returns the offset behind the escape, which may be behind the end of the slice. */
  #passEscape(at: number): number {
    this.#isEscaped = true
    const kind = this.#bytes[at + 1] ?? 0
    if (kind !== LOWER_U) {
      if (!SHORT_ESCAPES.has(kind)) throw broken('has an escape that JSON does not know')
      return at + 2
    }
    for (let digit = at + 2; digit < at + 6; digit += 1) {
      if (!isHex(this.#bytes[digit] ?? 0)) throw broken('has an incomplete \\u escape')
    }
    return at + 6
  }

  #readScalar(first: number): void {
    const start = this.#at
    const end = first === MINUS || isDigit(first) ? this.#endOfNumber() : this.#endOfWord(first)
    this.#at = end
    this.#endValue()
    this.#handler.scalar(start, end, first)
  }

  #endOfWord(first: number): number {
    const word = WORDS.get(first)
    const end = this.#at + (word?.length ?? 0)
    if (word === undefined || this.#bytes.toString('latin1', this.#at, end) !== word) {
      throw broken('has a value that JSON does not know')
    }
    return end
  }

  #endOfNumber(): number {
    const bytes = this.#bytes
    let at = this.#at + (bytes[this.#at] === MINUS ? 1 : 0)
    if (bytes[at] === ZERO) at += 1
    else at = this.#passDigits(at)
    if (bytes[at] === 0x2e) at = this.#passDigits(at + 1)
    if (bytes[at] === 0x65 || bytes[at] === 0x45) {
      const sign = bytes[at + 1]
      at = this.#passDigits(at + (sign === 0x2b || sign === MINUS ? 2 : 1))
    }
    return at
  }

  /** @throws JsonProblem unless there is at least one. */
  #passDigits(from: number): number {
    let at = from
    while (isDigit(this.#bytes[at] ?? 0)) at += 1
    if (at === from) throw broken('has a number that JSON does not know')
    return at
  }
}

const ESCAPED = '"\\/bfnrt'
const SHORT_ESCAPES = new Set(Buffer.from(ESCAPED))
const WORDS = new Map(['true', 'false', 'null'].map((word) => [word.charCodeAt(0), word]))

const isDigit = (byte: number) => byte >= ZERO && byte <= 0x39

const isHex = (byte: number) =>
  isDigit(byte) || (byte >= 0x41 && byte <= 0x46) || (byte >= 0x61 && byte <= 0x66)

const broken = (what: string) => new JsonProblem(`is not valid JSON: it ${what}`)
