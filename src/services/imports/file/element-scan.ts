/** Finds where the elements of a JSON file begin and end, by counting brackets over its bytes. */

import { AppError } from '../../../errors.ts'

/** Bytes of one element. */
export type ScannedPiece = {
  bytes: Buffer
  /** Whether the element ends with them. */
  ends: boolean
  /** Set as soon as parsing the element would be too costly. */
  refused?: 'too_deep' | 'too_many_values' | undefined
}

type Limits = { maxValues: number; maxDepth: number }

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COMMA = 0x2c
const OPEN_LIST = 0x5b
const CLOSE_LIST = 0x5d
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d
const WHITE_SPACE = [0x20, 0x09, 0x0a, 0x0d]
const BYTE_ORDER_MARK = [0xef, 0xbb, 0xbf]
/** Of a value that is no list, object or text. */
const SCALAR = /[-\w+.]/

/**
 * `start`: before anything. `value`: an element may begin; `comma`: an element has ended. `text`
 * and `scalar`: in an element without brackets. `end`: after the array.
 */
type State = 'start' | 'value' | 'comma' | 'inside' | 'scalar' | 'end'

export class ElementScan {
  readonly #limits: Limits
  #state: State = 'start'
  #isList = false
  #hasElements = false
  #depth = 0
  #values = 0
  #isInText = false
  #isEscaped = false
  #refused: ScannedPiece['refused']

  constructor(limits: Limits) {
    this.#limits = limits
  }

  /**
   * The elements in the next bytes of the file, or their beginnings and ends.
   *
   * @throws AppError invalid_input for bytes that cannot be between two elements.
   */
  *read(piece: Buffer): Generator<ScannedPiece, void, undefined> {
    for (let at = 0; at < piece.length; ) {
      const isWithin = this.#state === 'inside' || this.#state === 'scalar'
      if (!isWithin && !this.#begins(piece[at] as number)) {
        at += 1
        continue
      }
      const from = at
      at = this.#state === 'scalar' ? endOfScalar(piece, at) : this.#endInside(piece, at)
      const ends = this.#hasEnded(at < piece.length)
      yield { bytes: piece.subarray(from, at), ends, refused: this.#refused }
      if (ends) this.#state = 'comma'
    }
  }

  /** @throws AppError invalid_input for an incomplete file. */
  end(): { refused?: undefined } | undefined {
    if (this.#state === 'start') throw notJson('it is empty')
    if (this.#state === 'scalar' && !this.#isList) return {}
    const isWhole = this.#state === 'end' || (this.#state === 'comma' && !this.#isList)
    if (!isWhole) throw notJson('it ends in the middle, as after an interrupted download')
    return undefined
  }

  #hasEnded(isMore: boolean): boolean {
    if (this.#state === 'scalar') return isMore
    return this.#depth === 0 && !this.#isInText
  }

  /** Whether an element begins with this byte, which is between two. */
  #begins(byte: number): boolean {
    if (WHITE_SPACE.includes(byte)) return false
    if (this.#state === 'start') {
      if (BYTE_ORDER_MARK.includes(byte)) return false
      this.#state = 'value'
      this.#isList = byte === OPEN_LIST
      if (this.#isList) return false
      if (byte !== OPEN_OBJECT) throw notJson('it begins with neither a bracket nor a brace')
    }
    if (this.#isList && this.#endsList(byte)) return false
    if (this.#state === 'comma' && !this.#isList) this.#state = 'value'
    if (this.#state !== 'value') throw notJson('something is where a comma or an end was expected')
    this.#begin(byte)
    return true
  }

  #endsList(byte: number): boolean {
    if (this.#state === 'end') throw notJson('it goes on after its end')
    const isEmpty = this.#state === 'value' && !this.#hasElements
    if (byte === CLOSE_LIST && (this.#state === 'comma' || isEmpty)) this.#state = 'end'
    else if (byte === COMMA && this.#state === 'comma') this.#state = 'value'
    else return false
    return true
  }

  #begin(byte: number): void {
    const hasEnd = byte === OPEN_OBJECT || byte === OPEN_LIST || byte === QUOTE
    if (!hasEnd && !SCALAR.test(String.fromCharCode(byte))) throw notJson('it has no values')
    this.#hasElements = true
    this.#state = hasEnd ? 'inside' : 'scalar'
    this.#values = 0
    this.#refused = undefined
  }

  /** The index after the element, or the length. */
  #endInside(piece: Buffer, from: number): number {
    let at = from
    while (at < piece.length) {
      if (this.#isInText) at = this.#endOfText(piece, at)
      else this.#count(piece[at++] as number)
      if (this.#depth === 0 && !this.#isInText) break
    }
    return at
  }

  #count(byte: number): void {
    if (byte === QUOTE) this.#isInText = true
    else if (byte === COMMA) this.#values += 1
    else if (byte === OPEN_LIST || byte === OPEN_OBJECT) {
      this.#values += 1
      this.#depth += 1
      if (this.#depth > this.#limits.maxDepth) this.#refused ??= 'too_deep'
    } else if (byte === CLOSE_LIST || byte === CLOSE_OBJECT) this.#depth -= 1
    if (this.#values > this.#limits.maxValues) this.#refused ??= 'too_many_values'
  }

  /** The index after the closing quote, or the length. Long texts are skipped natively. */
  #endOfText(piece: Buffer, from: number): number {
    let at = from
    if (this.#isEscaped) {
      this.#isEscaped = false
      at += 1
    }
    const quote = piece.indexOf(QUOTE, at)
    const end = quote === -1 ? piece.length : quote
    let backslashes = 0
    while (end - 1 - backslashes >= at && piece[end - 1 - backslashes] === BACKSLASH)
      backslashes += 1
    this.#isEscaped = backslashes % 2 === 1
    if (quote === -1) return piece.length
    if (this.#isEscaped) return quote
    this.#isInText = false
    return quote + 1
  }
}

/** The index after a number, `true`, `false` or `null`, or the length. */
function endOfScalar(piece: Buffer, from: number): number {
  let at = from
  while (at < piece.length && SCALAR.test(String.fromCharCode(piece[at] as number))) at += 1
  return at
}

const notJson = (why: string) => new AppError('invalid_input', `The file is not JSON: ${why}.`)
