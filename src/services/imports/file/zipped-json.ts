/**
 * The conversation files in a zip. Names are only compared, and no entry is ever written, so that
 * paths in names are harmless; a zip within the zip is not opened.
 */

import { type Entry, fromBufferPromise, type ZipFile } from 'yauzl'
import { AppError } from '../../../errors.ts'

const MAX_ENTRIES = 1_000
/** JSON is compressed about 10 times. */
const MAX_RATIO = 100
const SMALL_BYTES = 64 * 1024

/** claude.ai and ChatGPT; the latter splits large exports. */
const CONVERSATIONS = /^conversations(?:-\d{3})?\.json$/

/**
 * The files one after the other, inflated as they are read.
 *
 * @param maxBytes of all of them together, inflated.
 * @throws AppError invalid_input, request_too_large.
 */
export async function* zippedJson(
  zip: Buffer,
  maxBytes: number,
): AsyncGenerator<AsyncIterable<Buffer>> {
  const file = await readable(() => fromBufferPromise(zip, { decodeStrings: false }))
  const entries = await conversationEntries(file)
  const total = entries.reduce((sum, { uncompressedSize }) => sum + uncompressedSize, 0)
  if (total > maxBytes || entries.some(isBomb)) throw inflatesTooMuch()
  for (const entry of entries) yield inflated(file, entry)
}

async function conversationEntries(file: ZipFile): Promise<Entry[]> {
  if (file.entryCount > MAX_ENTRIES) throw tooManyEntries()
  const all = await readable(() => collected(file.eachEntry()))
  const entries = all.filter((entry) => CONVERSATIONS.test(nameOf(entry)))
  if (entries.length === 0) throw noConversations()
  return entries.sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1))
}

async function collected(entries: AsyncIterable<Entry>): Promise<Entry[]> {
  const all: Entry[] = []
  for await (const entry of entries) all.push(entry)
  return all
}

const nameOf = ({ fileNameRaw }: Entry) => fileNameRaw.toString('latin1')

const isBomb = ({ compressedSize, uncompressedSize }: Entry) =>
  uncompressedSize > SMALL_BYTES && uncompressedSize > compressedSize * MAX_RATIO

/** An entry that is longer than it says is an error of the stream. */
async function* inflated(file: ZipFile, entry: Entry): AsyncIterable<Buffer> {
  if (entry.isEncrypted()) throw unreadable()
  const pieces = (await readable(() => file.openReadStreamPromise(entry)))[Symbol.asyncIterator]()
  for (;;) {
    const { done, value } = await readable(() => pieces.next())
    if (done) return
    yield value
  }
}

/** Errors of the library name bytes and offsets, which say nothing to a person. */
async function readable<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    throw unreadable(cause)
  }
}

const unreadable = (cause?: unknown) =>
  new AppError(
    'invalid_input',
    'The zip cannot be read: it is damaged, incomplete or encrypted. Download it again, or send the conversations.json in it.',
    { cause },
  )

const tooManyEntries = () =>
  new AppError(
    'request_too_large',
    `A zip may have at most ${MAX_ENTRIES} files. Send the conversations.json in it.`,
  )

const inflatesTooMuch = () =>
  new AppError(
    'request_too_large',
    'The conversations in the zip are larger than an import may be (IMPORT_MAX_MIB), or compressed more than text can be.',
  )

const noConversations = () =>
  new AppError(
    'invalid_input',
    'The zip has no conversations.json. Send the zip as claude.ai or ChatGPT made it, or the JSON file alone.',
  )
