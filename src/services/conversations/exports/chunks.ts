/**
 * Splits the text into pieces of about equal size, each of which is well-formed Unicode.
 *
 * @param characters the most UTF-16 code units in a piece; the last one may be shorter.
 */
export async function* inChunks(
  pieces: AsyncIterable<string>,
  characters: number,
): AsyncGenerator<string, void, undefined> {
  let rest = ''
  for await (const piece of pieces) {
    rest += piece
    let from = 0
    while (rest.length - from > characters) {
      const to = from + characters - (isHighSurrogate(rest, from + characters - 1) ? 1 : 0)
      yield rest.slice(from, to)
      from = to
    }
    rest = rest.slice(from)
  }
  if (rest !== '') yield rest
}

const isHighSurrogate = (text: string, at: number) => {
  const unit = text.charCodeAt(at)
  return unit >= 0xd800 && unit <= 0xdbff
}
