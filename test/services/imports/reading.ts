/** Reads files as an import does, without storing anything. */

import { readFileSync } from 'node:fs'
import { conversationsIn } from '../../../src/services/imports/read-file.ts'
import type { Draft, ReadElement } from '../../../src/services/imports/sources/draft.ts'
import { textOf } from '../../../src/services/keys/vault.ts'

export const sample = (name: string) => readFileSync(new URL(`files/${name}`, import.meta.url))

/** In pieces of this many bytes. */
export async function* inPieces(bytes: Buffer, size = 64 * 1024): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

export async function readAll(
  body: AsyncIterable<Buffer>,
  { maxMib = 256, withBranches = false } = {},
) {
  const blocks: Record<string, number> = {}
  const note = (type: string) => {
    blocks[type] = (blocks[type] ?? 0) + 1
  }
  const found: ReadElement[] = []
  let branchesLeftOut = 0
  const leftOut = (branches: number) => {
    branchesLeftOut += branches
  }
  const options = { maxMib, withBranches, note, leftOut }
  for await (const element of conversationsIn(body, options)) found.push(element)
  return { found, blocks, branchesLeftOut }
}

export async function readValue(value: unknown) {
  const { found, blocks } = await readAll(inPieces(Buffer.from(JSON.stringify(value))))
  return { found: found[0] as ReadElement, blocks }
}

/** @throws Error for an element that is skipped. */
export function draftOf(element: ReadElement | undefined): Draft {
  if (element && 'draft' in element) return element.draft
  throw new Error(`skipped: ${element?.reason ?? 'nothing found'}`)
}

/** The roles and texts of its messages. */
export const said = ({ messages }: Draft) =>
  messages.map(({ role, content }) => [role, textOf(content)])
