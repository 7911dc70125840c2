import { expect, test } from 'vitest'
import { inChunks } from '../../../../src/services/conversations/exports/chunks.ts'

async function* from(pieces: readonly string[]) {
  yield* pieces
}

async function chunksOf(pieces: readonly string[], characters: number): Promise<string[]> {
  const chunks: string[] = []
  for await (const chunk of inChunks(from(pieces), characters)) chunks.push(chunk)
  return chunks
}

test('small pieces are put together, large ones are cut, and nothing is lost', async () => {
  expect(await chunksOf(['ab', 'c', 'defghij', '', 'k'], 4)).toEqual(['abcd', 'efgh', 'ijk'])
  expect(await chunksOf(['abcd'], 4)).toEqual(['abcd'])
  expect(await chunksOf([], 4)).toEqual([])
})

test('a character of two code units is not cut in two', async () => {
  const text = 'a\u{1f600}'.repeat(20)
  const chunks = await chunksOf([text.slice(0, 20), text.slice(20)], 5)
  expect(chunks.join('')).toBe(text)
  for (const chunk of chunks) {
    expect(chunk.length).toBeLessThanOrEqual(5)
    expect(chunk.isWellFormed()).toBe(true)
  }
})
