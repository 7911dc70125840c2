/** A file of the largest size, in a process of its own, with little memory. */

import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const child = fileURLToPath(new URL('children/read-large.ts', import.meta.url))
const MIB = 1024 * 1024

/** Node itself takes about 60 MiB, the largest element three times its 32 MiB, and 300 MiB together. */
const MOST_MIB = 450

test('a file of the largest size stays within its bound', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, [
    '--max-old-space-size=192',
    // Garbage is collected late where other tests take the processor.
    '--expose-gc',
    '--import',
    'tsx',
    child,
  ])
  const { conversations, bytes, maxRssBytes } = JSON.parse(stdout)
  expect(bytes).toBeGreaterThan(220 * MIB)
  expect(conversations).toBeGreaterThan(1500)
  expect(maxRssBytes / MIB).toBeLessThan(MOST_MIB)
})
