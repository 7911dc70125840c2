import type { HeavyReads } from '../../concurrency/heavy-reads.ts'
import { mapInSlices } from '../../concurrency/slices.ts'

export type Elements<Row> = {
  /** The page after a row; the first page without one. */
  read(last: Row | undefined): Promise<Row[]>
  toElement(row: Row): object
  bytesOf?(row: Row): number
}

/**
 * The elements of a JSON array, without its brackets, page after page until one is empty. A page is
 * serialized within its turn of the read queue, so a slow reader does not block other reads.
 */
export async function* elementsOf<Row>(
  heavyReads: HeavyReads,
  userId: string,
  { read, toElement, bytesOf = () => 0 }: Elements<Row>,
): AsyncGenerator<string, void, undefined> {
  let [separator, last] = ['', undefined as Row | undefined]
  for (;;) {
    const page = await heavyReads.run(userId, async () => {
      const rows = await read(last)
      last = rows.at(-1)
      return mapInSlices(rows, bytesOf, (row) => JSON.stringify(toElement(row)))
    })
    if (page.length === 0) return
    yield separator + page.join(',')
    separator = ','
  }
}
